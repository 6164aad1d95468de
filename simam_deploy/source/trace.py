"""Trace an nn.Module to an ONNX graph in which each SimAM is one node."""

from __future__ import annotations

import contextlib
import itertools
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import onnxscript.optimizer
import torch
from torch import nn

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.graph.file.weights import without_weights
from simam_deploy.graph.passes.opset import NATIVE
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.models.attention.simam import as_nodes
from simam_deploy.source.forward import Forward

DEFAULT_OPSET = NATIVE
_SCOPES = "pkg.torch.onnx.name_scopes"
"""Node metadata under which torch keeps the path of modules a node came from."""


def trace(
    model: Forward,
    inputs: tuple[TensorSpec, ...],
    output_names: tuple[str, ...],
    sizes: Mapping[str, int],
    opset: int,
) -> ir.Model:
    """Export `model` with torch.onnx's dynamo exporter and onnxscript's optimiser.

    Args:
        model: In eval mode.
        inputs: What the graph shall take; dimensions given by name are dynamic.
        output_names: What its outputs shall be called.
        sizes: A size to trace with for every dynamic dimension, at least 2.
        opset: Version of the default domain; below 18 the graph is traced at 18.

    Returns:
        The graph; every `simam::SimAM` node is named after its module.

    Raises:
        InputError: torch cannot trace the module.
    """
    example = tuple(_example(spec, sizes) for spec in inputs)
    dynamic = tuple(map(_free, inputs))
    with as_nodes(model):
        graph = _dynamo(model, example, opset, dynamic_shapes=(dynamic,))
    name_ends(graph, [spec.name for spec in inputs], output_names)
    return graph


def trace_program(
    program: torch.export.ExportedProgram, output_names: tuple[str, ...], opset: int
) -> ir.Model:
    """Translate a torch.export program, whose input names and free dimensions are its own.

    Arguments, result and errors are those of `trace`.
    """
    graph = _dynamo(program, (), opset)
    name_ends(graph, [value.name or "" for value in graph.graph.inputs], output_names)
    return graph


def trace_script(
    model: torch.jit.ScriptModule,
    inputs: tuple[TensorSpec, ...],
    output_names: tuple[str, ...],
    sizes: Mapping[str, int],
    opset: int,
) -> ir.Model:
    """Export a TorchScript archive with the exporter that is left for it.

    Arguments, result and errors are those of `trace`; `opset` is at most 20.
    """
    free = {spec.name: _free(spec) for spec in inputs}
    torch._C._jit_set_onnx_log_enabled(False)  # it prints whole graphs when it fails
    batch = {0: "batch"} if any(0 in each for each in free.values()) else {}
    with tempfile.TemporaryDirectory() as folder, _quiet(), _one_line():
        file = Path(folder) / "traced.onnx"
        torch.onnx.export(
            model,
            tuple(_example(spec, sizes) for spec in inputs),
            file,
            dynamo=False,
            opset_version=opset,
            input_names=[spec.name for spec in inputs],
            output_names=list(output_names),
            dynamic_axes=free | dict.fromkeys(output_names, batch),
        )
        traced: ir.Model = ir.from_proto(onnx.load(file))
    return traced


def _free(spec: TensorSpec) -> dict[int, str]:
    return {axis: size for axis, size in enumerate(spec.shape) if isinstance(size, str)}


def _example(spec: TensorSpec, sizes: Mapping[str, int]) -> torch.Tensor:
    shape = [sizes[d] if isinstance(d, str) else d for d in spec.shape]
    return torch.zeros(shape, dtype=getattr(torch, spec.dtype))


def _dynamo(
    model: nn.Module | torch.export.ExportedProgram,
    example: tuple[torch.Tensor, ...],
    opset: int,
    **options: Any,
) -> ir.Model:
    """Call the dynamo exporter, and the optimiser without the weights."""
    with _quiet(), _one_line():
        program = torch.onnx.export(
            model,
            example,
            dynamo=True,
            opset_version=max(opset, NATIVE),
            optimize=False,
            verbose=False,
            **options,
        )
        assert program is not None
        graph = without_weights(program.model, onnxscript.optimizer.optimize)
    _name_sites(graph)
    return graph


def name_ends(model: ir.Model, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Name a graph's inputs and outputs, and anew what inside has one of their names."""
    graph = model.graph
    inner = [*graph.initializers.values(), *(v for node in graph.all_nodes() for v in node.outputs)]
    taken = {*inputs, *outputs, *(value.name for value in (*graph.inputs, *inner))}
    for value in [value for value in inner if value.name in (*inputs, *outputs)]:
        value.name = next(n for i in itertools.count(1) if (n := f"{value.name}_{i}") not in taken)
        taken.add(value.name)
    for value, name in zip((*graph.inputs, *graph.outputs), (*inputs, *outputs), strict=True):
        value.name = name


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """Turn the exporters' failures, which run over pages, into their first cause.

    Raises:
        InputError: For any error of torch.onnx.
    """
    try:
        yield
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        cause = (str(error.__cause__ or error).strip().splitlines() or ["no reason given"])[0]
        raise InputError(f"torch.onnx cannot trace this model: {cause}") from error


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
