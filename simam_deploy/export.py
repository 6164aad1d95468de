"""Trace an nn.Module to an ONNX graph in which each SimAM is one node."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping

import onnx_ir as ir
import onnxscript.optimizer
import torch
from torch import nn

from simam_deploy.artifacts import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.graph.opset import NATIVE
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.graph.weights import without_weights

_SCOPES = "pkg.torch.onnx.name_scopes"
"""Node metadata under which torch keeps the path of modules a node came from."""


def trace(
    model: nn.Module,
    inputs: tuple[TensorSpec, ...],
    output_names: tuple[str, ...],
    sizes: Mapping[str, int],
    opset: int,
) -> ir.Model:
    """Export `model` with torch.onnx's dynamo exporter and onnxscript's optimiser.

    Args:
        model: In eval mode; it takes its inputs by position.
        inputs: What the graph shall take; dimensions given by name are dynamic.
        output_names: What its outputs shall be called.
        sizes: A size to trace with for every dynamic dimension, at least 2.
        opset: Version of the default domain; below 18 the graph is traced at 18.

    Returns:
        The graph; every SimAM node is named after its module, and no node carries the
        exporter's notes, which hold paths of the machine it ran on.

    Raises:
        InputError: torch cannot trace the module.
    """
    example = tuple(
        torch.zeros([sizes[d] if isinstance(d, str) else d for d in s.shape]) for s in inputs
    )
    dynamic = tuple({i: d for i, d in enumerate(s.shape) if isinstance(d, str)} for s in inputs)
    with _quiet():
        program = _export(model, example, dynamic, inputs, output_names, max(opset, NATIVE))
        graph = without_weights(program.model, onnxscript.optimizer.optimize)
    _name_sites(graph)
    _forget_origin(graph)
    return graph


def _export(
    model: nn.Module,
    example: tuple[torch.Tensor, ...],
    dynamic: tuple[dict[int, str], ...],
    inputs: tuple[TensorSpec, ...],
    output_names: tuple[str, ...],
    opset: int,
) -> torch.onnx.ONNXProgram:
    """Call torch.onnx.export and turn its failure into one line."""
    try:
        program = torch.onnx.export(
            model,
            example,
            dynamo=True,
            dynamic_shapes=dynamic,
            input_names=[s.name for s in inputs],
            output_names=list(output_names),
            opset_version=opset,
            optimize=False,  # done by the caller, without the weights
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        cause = str(error.__cause__ or error).strip().splitlines()[0]
        raise InputError(f"torch.onnx cannot trace this model: {cause}") from error
    assert program is not None
    return program


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence notes on the exporter's own insides (torchvision's absence, deprecated calls)."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _name_sites(model: ir.Model) -> None:
    """Name each SimAM node after the module that it came from: `layer1.0.conv2.1`."""
    taken: set[str] = set()
    for node in simam_nodes(model):
        scopes = [s for s in _scopes(node) if s and not s.startswith("_")]
        name = base = scopes[-1] if scopes else "simam"
        while name in taken:
            name = f"{base}_{len(taken)}"
        taken.add(name)
        node.name = name


def _scopes(node: ir.Node) -> list[str]:
    """Read the module paths, outermost first, off the exporter's note: `['', 'layer1', ...]`."""
    return [s.strip(" '\"") for s in node.metadata_props.get(_SCOPES, "").strip("[]").split(",")]


def _forget_origin(model: ir.Model) -> None:
    """Drop stack traces and scopes from every node and value."""
    model.graph.metadata_props.clear()
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
