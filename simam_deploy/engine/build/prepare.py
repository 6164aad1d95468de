"""Make a graph what an engine wants: SimAM in few kernels, or nodes for one plugin.

SimAM in plain ops, as a node or with a function body is lowered anew, in the precision that the
graph has, to the plain ops or to the plugin's nodes that were asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from simam_deploy.core.caveats import caveats
from simam_deploy.core.onnx_metadata import split_metadata, stated_facts
from simam_deploy.errors import UsageError
from simam_deploy.graph.detect import STANDARD
from simam_deploy.graph.file.interface import check_interface
from simam_deploy.graph.file.read import mended, read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower import FUNCTIONS_SINCE
from simam_deploy.graph.passes.fix_batch import fix_batch
from simam_deploy.graph.prepare import for_engine, with_sites
from simam_deploy.graph.sites import check_sites, dims, simam_nodes
from simam_deploy.graph.types import precision_of
from simam_deploy.op.contract import DOMAIN

_KEPT = {
    "arch": "arch",
    "classes": "classes",
    "contradictions": "contradictions",
    "e_lambda": "e_lambda",
    "e_lambda_source": "e_lambda_source",
    "lowering": "lowering",
    "simam_sites": "simam_sites",
    "smallest_input": "smallest_input",
    "source": "exported_from",
    "validation": "onnx_validation",
}
"""Facts of an export that its engine's manifest repeats, and what they are called there."""

_MOST_METADATA = 2**20
"""Characters: the names of 1000 classes are 20 thousand."""


@dataclass(frozen=True)
class Recognised:
    """An .onnx that was read and whose SimAM was found: what every form of it is written from.

    Attributes:
        model: With a node a SimAM.
        facts: What a manifest says of it: precision, simam_sites, e_lambda, notes and others.
    """

    model: ir.Model
    facts: Mapping[str, Any]

    @property
    def has_simam(self) -> bool:
        """Whether there is a SimAM that can be written in one form or another."""
        return bool(simam_nodes(self.model))

    @property
    def has_free_planes(self) -> bool:
        """Whether the size of some SimAM's planes is not known before it runs."""
        shapes = (dims(node.inputs[0])[2:] for node in simam_nodes(self.model))
        return any(not isinstance(size, int) for shape in shapes for size in shape)

    @property
    def has_operators(self) -> bool:
        """Whether it holds a detector's operators, of which the plugin has nodes too."""
        model = self.model.clone()
        for_engine(model, "plugin", STANDARD, True)
        return any(node.domain == DOMAIN for node in model.graph)

    def write(self, file: Path, lowering: str, form: str = STANDARD) -> dict[str, Any]:
        """Write the graph to build; the model stays as it is.

        Args:
            file: Where the graph goes.
            lowering: What SimAM becomes; with "plugin" a detector's operators are its nodes too.
            form: How a detector's operators are written otherwise.

        Returns:
            The facts, with the lowering.

        Raises:
            UsageError: The opset is too old for the plugin.
            OSError: The disk is full.
        """
        model, facts, plugin = self.model.clone(), dict(self.facts), lowering == "plugin"
        if self.has_simam:
            _check_opset(model, plugin)
            facts["lowering"] = lowering
        for_engine(model, lowering, form, plugin)
        write_model(model, file)
        return facts


def recognise_file(source: Path, batch: int | None = None) -> Recognised:
    """Read an .onnx and find SimAM in it.

    Args:
        source: Any .onnx, ours or not.
        batch: What a batch that is free by name alone is fixed at.

    Raises:
        InputError: The file cannot be used.
    """
    model = read_model(source)
    check_interface(model, source.name)
    mends = mended(model)
    if batch is not None:
        fix_batch(model, batch)
    facts = {**_exported(model), "precision": precision_of(model)}
    model, _ = with_sites(model)
    facts |= _site_facts(model, facts)
    facts["notes"] = [*mends, *caveats(facts), *([] if facts["simam_sites"] else [_NO_SIMAM])]
    return Recognised(model, facts)


_NO_SIMAM = "no SimAM was found: the graph is built as it is"


def _exported(model: ir.Model) -> dict[str, Any]:
    """Read what `simam-export` said of the file; a stranger's file may say anything."""
    facts: dict[str, Any] = {"e_lambda": None, "simam_sites": [], "lowering": "as in the file"}
    stated = stated_facts(model.metadata_props)
    facts |= {ours: stated[theirs] for theirs, ours in _KEPT.items() if theirs in stated}
    return {
        **facts,
        "preprocessing": stated.get("preprocessing"),
        "metadata": _of_others(model.metadata_props),
    }


def _of_others(metadata: Mapping[str, str]) -> dict[str, str]:
    """Take what others state of the file, which a plan cannot hold; no more than a manifest can."""
    _, theirs = split_metadata(metadata)
    size = sum(len(key) + len(value) for key, value in theirs.items())
    return theirs if size <= _MOST_METADATA else {}


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


def _check_opset(model: ir.Model, plugin: bool) -> None:
    """Refuse a graph whose opset is too old for the plugin's nodes.

    Raises:
        UsageError: It is.
    """
    if plugin and model.opset_imports[""] < FUNCTIONS_SINCE:
        raise UsageError(
            f"the plugin wants opset {FUNCTIONS_SINCE} or newer, the file has "
            f"{model.opset_imports['']}: export it anew, or leave the plugin out",
            options=("plugin",),
        )
