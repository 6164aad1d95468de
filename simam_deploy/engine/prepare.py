"""Make a graph what an engine wants: of the precision asked, SimAM in few kernels or one plugin.

Rules:
    1. SimAM in plain ops, as a node or with a function body is lowered anew: `flat`, from which
       TensorRT makes 82 launches of a ResNet-50 instead of 134, or nodes for the plugin.
    2. A graph in the precision asked stays so; a float32 one becomes half; nothing else is
       converted, for its original is better.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from simam_deploy import op
from simam_deploy.artifacts import METADATA_PREFIX
from simam_deploy.engine.audit import main_precision, products_of
from simam_deploy.errors import InputError, UsageError
from simam_deploy.graph.fold_bn import fold_bn
from simam_deploy.graph.function import FUNCTIONS_SINCE
from simam_deploy.graph.lowerings import LOWERINGS
from simam_deploy.graph.precision import to_half
from simam_deploy.graph.read import read_model
from simam_deploy.graph.recognise import to_nodes
from simam_deploy.graph.sites import check_sites, simam_nodes
from simam_deploy.graph.tidy import tidy
from simam_deploy.graph.weights import without_weights
from simam_deploy.graph.write import write_model

_HALVES = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}
_KEPT = {
    "arch": "arch",
    "e_lambda": "e_lambda",
    "e_lambda_source": "e_lambda_source",
    "lowering": "lowering",
    "preprocessing": "preprocessing",
    "simam_sites": "simam_sites",
    "smallest_input": "smallest_input",
    "source": "exported_from",
    "validation": "onnx_validation",
}
"""Facts of an export that its engine's manifest repeats, and what they are called there."""


def prepare_graph(
    source: Path, file: Path, precision: str | None, keep_io: bool, plugin: bool
) -> dict[str, Any]:
    """Write `file`, the graph to build, from the .onnx `source`.

    Args:
        source: Any .onnx, ours or not.
        file: Where the graph goes.
        precision: "fp32", "fp16", "bf16" or "int8"; None for the graph's own.
        keep_io: Whether inputs and outputs stay float32 when it becomes half.
        plugin: Whether SimAM becomes nodes for the plugin.

    Returns:
        What a manifest says of it: precision, lowering, simam_sites, e_lambda, notes and others.

    Raises:
        InputError: The file cannot be used, or its SimAM sites cannot be told.
        UsageError: It cannot be had in that precision or with the plugin.
        OSError: The disk is full.
    """
    model = read_model(source)
    facts = _exported(model)
    own = main_precision(products_of(model))
    asked = precision or own
    _check_conversion(source, own, asked)
    # Old exporters leave inner shapes out, which n = H*W - 1 is proved by.
    model = without_weights(model, onnx.shape_inference.infer_shapes)
    to_nodes(model)
    facts |= _site_facts(model, facts)
    fold_bn(model)
    notes = _convert(model, source, own, asked, keep_io, facts)
    lowering = _lower(model, plugin, facts)
    tidy(model)
    write_model(model, file)
    return {**facts, "precision": asked, "lowering": lowering, "notes": notes}


def _exported(model: ir.Model) -> dict[str, Any]:
    """Read what `simam-export` said of the file; a stranger's file may say anything."""
    facts: dict[str, Any] = {"e_lambda": None, "simam_sites": [], "lowering": "as in the file"}
    for theirs, ours in _KEPT.items():
        text = model.metadata_props.get(f"{METADATA_PREFIX}{theirs}")
        if text is not None:
            facts[ours] = _value(text)
    sites = facts["simam_sites"] if isinstance(facts["simam_sites"], list) else []
    facts["simam_sites"] = [s for s in sites if isinstance(s, Mapping) and "name" in s]
    return facts


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _check_conversion(source: Path, own: str, asked: str) -> None:
    if own == asked or (own == "fp32" and asked in _HALVES):
        return
    if own != "fp32":
        raise UsageError(f"{source.name} is {own}: for {asked} start from its float32 original")
    raise UsageError(
        f"{source.name} is not quantised: export it with --precision {asked} and calibration data, "
        "then build that file"
    )


def _site_facts(model: ir.Model, facts: Mapping[str, Any]) -> dict[str, Any]:
    """State the sites found; where none is, what the export said stands."""
    sites = check_sites(model)
    if not sites:
        return {}
    values = {site.e_lambda for site in sites}
    e_lambda = (
        facts["e_lambda"] if facts["e_lambda"] is not None or len(values) > 1 else values.pop()
    )
    return {"simam_sites": [asdict(site) for site in sites], "e_lambda": e_lambda}


def _convert(
    model: ir.Model, source: Path, own: str, asked: str, keep_io: bool, facts: Mapping[str, Any]
) -> list[str]:
    """Make the graph half if that was asked.

    Raises:
        InputError: Its SimAM sites cannot be told, so that they cannot be kept in float32.
    """
    notes = [] if facts["simam_sites"] else ["no SimAM was found: the graph is built as it is"]
    if own == asked:
        return notes
    if facts["simam_sites"] and not simam_nodes(model):
        raise InputError(
            f"{source.name} holds SimAM as {facts['lowering']!r}, which cannot be told from other "
            f"arithmetic and kept in float32: export it anew with --lowering portable or function"
        )
    return [*notes, *to_half(model, _HALVES[asked], keep_io).notes]


def _lower(model: ir.Model, plugin: bool, facts: Mapping[str, Any]) -> str:
    """Lower the SimAM nodes and name how.

    Raises:
        UsageError: The plugin was asked for, and the opset is too old for its nodes.
    """
    if not simam_nodes(model):
        return str(facts["lowering"])
    if not plugin:
        LOWERINGS["flat"](model)
        return "flat"
    if model.opset_imports[""] < FUNCTIONS_SINCE:
        raise UsageError(
            f"the plugin wants opset {FUNCTIONS_SINCE} or newer, the file has "
            f"{model.opset_imports['']}: export it anew, or pass --plugin never"
        )
    LOWERINGS["function"](model)
    for node in simam_nodes(model):
        # TensorRT looks a plugin up by these; RTX 1.7 prefers the function body without them.
        node.attributes["plugin_namespace"] = ir.AttrString("plugin_namespace", op.DOMAIN)
        node.attributes["plugin_version"] = ir.AttrString("plugin_version", str(op.OP_VERSION))
    return "plugin"
