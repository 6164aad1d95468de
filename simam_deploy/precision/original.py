"""The network that a conversion starts from, in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from simam_deploy.errors import InputError
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.typed import typed
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.passes.fold_bn import fold_bn
from simam_deploy.graph.passes.forget import forget_origin
from simam_deploy.graph.passes.fuse_epilogue import fuse_epilogue
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

    def graph(self) -> ir.Model:
        """Read it."""
        return typed(read_model(self.file))

    def plain(self) -> ir.Model:
        """Read it with SimAM in plain ops, and what it is to take in as well."""
        graph = self.graph()
        if self.fused:
            fuse_epilogue(graph)
        return plain(graph)


def keep_original(model: ir.Model, opset: int, fused: bool, folder: Path) -> Original:
    """Write a traced graph, one node a SimAM, into `folder`; it is used up."""
    forget_origin(model)
    fold_bn(model)
    file = folder / "original.onnx"
    write_model(model, file)
    return Original(file, opset, fused)


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
