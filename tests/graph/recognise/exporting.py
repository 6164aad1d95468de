"""One module that holds every variant, exported as a cell of the matrix says."""

from __future__ import annotations

import inspect
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import onnx
import pytest
import torch
from torch import Tensor, nn

from tests.graph.recognise.variants import Variant

AXES = {"static": {}, "batch": {0: "n"}, "hw": {0: "n", 2: "h", 3: "w"}}


@dataclass(frozen=True)
class Cell:
    exporter: str
    opset: int
    dynamic: str
    dtype: torch.dtype

    def __str__(self) -> str:
        dtype = {torch.float32: "fp32", torch.float16: "fp16"}[self.dtype]
        return f"{self.exporter}-{self.opset}-{self.dynamic}-{dtype}"


class Branch(nn.Module):
    """A variant between other operators, on a feature map of its own."""

    def __init__(self, variant: Variant, factor: float) -> None:
        super().__init__()
        self.variant = variant
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.variant.function(x * self.factor, self.variant.e_lambda).neg()


class AllVariants(nn.Module):
    """Each output is a variant's, in order."""

    def __init__(self, variants: Sequence[Variant]) -> None:
        super().__init__()
        factors = [0.75 + i / 64 for i in range(len(variants))]
        pairs = zip(variants, factors, strict=True)
        self.branches = nn.ModuleDict({v.name: Branch(v, factor) for v, factor in pairs})

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(branch(x) for branch in self.branches.values())


def export(cell: Cell, variants: Sequence[Variant]) -> onnx.ModelProto:
    exporter = _torchscript if cell.exporter == "torchscript" else _dynamo
    return exporter(cell, tuple(variants))


def branch_of(name: str, variants: Sequence[Variant]) -> str:
    """Return the variant that a site or near-miss, named after module or node, stands in."""
    known = {variant.name for variant in variants}
    (found,) = known.intersection(re.split(r"[/.]", re.sub(r"(?<=\w)_\d+$", "", name)))
    return found


def _torchscript(cell: Cell, variants: tuple[Variant, ...]) -> onnx.ModelProto:
    if "dynamo" not in inspect.signature(torch.onnx.export).parameters:
        pytest.skip("this torch has no TorchScript exporter")
    axes = AXES[cell.dynamic]
    file = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter is deprecated, and warns of it in many words.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.filterwarnings("ignore", "ONNX export mode is set to TrainingMode.EVAL")
        torch.onnx.export(
            AllVariants(variants),
            (torch.zeros(2, 3, 8, 12, dtype=cell.dtype),),
            file,
            dynamo=False,
            opset_version=cell.opset,
            dynamic_axes={"x": axes} if axes else None,
            input_names=["x"],
            output_names=[variant.name for variant in variants],
        )
    return onnx.load_from_string(file.getvalue())


def _dynamo(cell: Cell, variants: tuple[Variant, ...]) -> onnx.ModelProto:
    with warnings.catch_warnings():
        # torch calls its own deprecated spelling.
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)
        program = torch.onnx.export(
            _program(cell.dynamic, cell.dtype, variants),
            dynamo=True,
            opset_version=cell.opset,
            input_names=["x"],
            output_names=[variant.name for variant in variants],
            verbose=False,
        )
    return program.model_proto


@cache
def _program(
    dynamic: str, dtype: torch.dtype, variants: tuple[Variant, ...]
) -> torch.export.ExportedProgram:
    axes = dict.fromkeys(AXES[dynamic], torch.export.Dim.DYNAMIC)
    x = torch.zeros(2, 3, 8, 12, dtype=dtype)
    return torch.export.export(AllVariants(variants), (x,), dynamic_shapes=(axes,))
