"""The network that a conversion starts from, in a file."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from simam_deploy.errors import InputError
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.typed import typed, with_types
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.passes.fold_bn import fold_bn
from simam_deploy.graph.passes.forget import forget_origin
from simam_deploy.graph.passes.fuse_epilogue import fuse_epilogue
from simam_deploy.graph.passes.simplify import simplify
from simam_deploy.graph.prepare import plain


@dataclass(frozen=True)
class Original:
    """A network in a file, one node a SimAM, read anew by every step that changes it.

    Attributes:
        file: The .onnx.
        opset: That of the result.
        fused: Whether SimAM is to take in what follows it: batch norm, skip and activation.
    """

    file: Path
    opset: int
    fused: bool

    def read(self) -> ir.Model:
        """Read it; types of operators that ONNX does not know may be open."""
        return with_types(read_model(self.file))

    def graph(self) -> ir.Model:
        """Read it, to convert it.

        Raises:
            InputError: The type of a value is unknown.
        """
        return typed(read_model(self.file))

    def plain(self) -> ir.Model:
        """Give it with SimAM in plain ops, and what it is to take in as well; over one reading."""
        return self._plain.clone()

    @functools.cached_property
    def _plain(self) -> ir.Model:
        graph = self.read()
        if self.fused:
            fuse_epilogue(graph)
        return plain(graph)


def keep_original(
    model: ir.Model, opset: int, fused: bool, folder: Path, simplified: bool = True
) -> Original:
    """Write a traced graph, which is used up, into `folder`.

    Args:
        model: One node a SimAM.
        opset: That of the result.
        fused: Whether SimAM is to take in what follows it.
        folder: To write into.
        simplified: Whether onnx-simplifier runs over it, where it can: what it fuses (a Pad or an
            Add with a Conv, a Transpose with a weight) must be fused in the graph that a
            conversion is judged by too, and a half graph shows it less than a float32 one does.
    """
    forget_origin(model)
    _own_weights(model.graph)
    fold_bn(model)
    if simplified:
        model = as_simplified(model)
    file = folder / "original.onnx"
    write_model(model, file, single_file_limit=0)  # weights are mapped, by each that reads it
    return Original(file, opset, fused)


def _own_weights(graph: ir.Graph) -> None:
    """Let readers of an Identity of a weight read the weight: TorchScript shares equal ones so."""
    for node in list(graph):
        source = node.inputs[0] if node.op_type == "Identity" and not node.domain else None
        weight = source is not None and source.is_initializer() and not source.is_graph_input()
        if source is not None and weight and not node.outputs[0].is_graph_output():
            node.outputs[0].replace_all_uses_with(source)
            graph.remove(node, safe=True)


def as_simplified(model: ir.Model) -> ir.Model:
    """Give the simplified model, or the model where onnx-simplifier fails on it.

    A product and its bias stay two nodes: a half graph shows onnx-simplifier no Gemm in them.

    Args:
        model: It is used up.
    """
    kept = model.clone()
    try:
        return with_types(simplify(model, ("fuse_matmul_add_bias_into_gemm",)))
    except InputError:
        return kept


def check_convertible(name: str, own: str, wanted: str) -> None:
    """Refuse to convert what is not float32.

    Raises:
        InputError: `own` is not "fp32" and `wanted` is another precision, or the same.
    """
    if own != "fp32":
        raise InputError(
            f"{name} is {own} already, and {wanted} is made of float32: take its original",
            options=("precision",),
        )
