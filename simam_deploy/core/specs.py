"""Precisions, element types, what a model takes and gives, and where its SimAM stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]
"""A full shape by name."""


@dataclass(frozen=True)
class ElementType:
    """An element type, by every name that is given to it.

    Attributes:
        name: NumPy's and torch's, and ours.
        onnx: ONNX's and ONNX Runtime's.
        protocol: The inference protocol's; Triton's behind TYPE_.
        tensorrt: TensorRT's, "" where it has none.
    """

    name: str
    onnx: str
    protocol: str
    tensorrt: str = ""


ELEMENTS = (
    ElementType("bool", "bool", "BOOL", "BOOL"),
    ElementType("uint8", "uint8", "UINT8", "UINT8"),
    ElementType("uint16", "uint16", "UINT16"),
    ElementType("uint32", "uint32", "UINT32"),
    ElementType("uint64", "uint64", "UINT64"),
    ElementType("int8", "int8", "INT8", "INT8"),
    ElementType("int16", "int16", "INT16"),
    ElementType("int32", "int32", "INT32", "INT32"),
    ElementType("int64", "int64", "INT64", "INT64"),
    ElementType("float16", "float16", "FP16", "HALF"),
    ElementType("bfloat16", "bfloat16", "BF16", "BF16"),
    ElementType("float32", "float", "FP32", "FLOAT"),
    ElementType("float64", "double", "FP64"),
)


@dataclass(frozen=True)
class Precision:
    """What a model may be in.

    Attributes:
        floats: The element type of what it computes in floats; eight bits are dequantised to it.
        words: What TensorRT calls a kernel's tensors that are in it, lower case.
        quantised: Whether layers compute in eight bits, by scales that samples are wanted for.
    """

    floats: str
    words: tuple[str, ...]
    quantised: bool = False


PRECISIONS: Mapping[str, Precision] = {
    "fp32": Precision("float32", ("float", "fp32")),
    "fp16": Precision("float16", ("half", "fp16")),
    "bf16": Precision("bfloat16", ("bfloat16", "bf16")),
    "int8": Precision("float32", ("int8",), quantised=True),
    "fp8": Precision("float32", ("fp8_e4m3", "fp8"), quantised=True),
}
"""What a model's weights and activations may be in."""
QUANTISED = tuple(name for name, precision in PRECISIONS.items() if precision.quantised)


def shape_text(shape: Sequence[int | str]) -> str:
    """Write a shape as `1x3x224x224`."""
    return "x".join(map(str, shape))


@dataclass(frozen=True)
class TensorSpec:
    """A graph input or output.

    Attributes:
        name: Its name in the graph.
        dtype: As NumPy names it, and bfloat16.
        shape: A string in it is a dynamic dimension's name; () is a single number.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        """Render as `name float32 batch x 3 x 224 x 224`."""
        return f"{self.name} {self.dtype} {' x '.join(map(str, self.shape))}"


@dataclass(frozen=True)
class SimamSite:
    """One SimAM in the exported graph: where it is, what it sees, (N, C, H, W), its lambda."""

    name: str
    shape: tuple[int | str, ...]
    e_lambda: float


@dataclass(frozen=True)
class ShapeRange:
    """What an engine's profile takes at one input: full shapes, `opt` the one it is tuned for."""

    name: str
    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]

    def holds(self, shape: tuple[int, ...]) -> bool:
        """Tell whether a full shape lies within."""
        return len(shape) == len(self.min) and all(
            low <= size <= high for low, size, high in zip(self.min, shape, self.max, strict=True)
        )


Profile = tuple[ShapeRange, ...]
"""One range per engine input."""


def in_float32(dtype: str) -> str:
    """Give the type of a float32 source's input: one that is half in a candidate was converted."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def numpy_name(onnx: str) -> str:
    """Give the name of an element type by ONNX's, that itself where it is none of `ELEMENTS`."""
    return next((element.name for element in ELEMENTS if element.onnx == onnx), onnx)


def specs_json(specs: tuple[TensorSpec, ...]) -> list[dict[str, Any]]:
    """Turn specs into JSON-able dictionaries."""
    return [{"name": s.name, "dtype": s.dtype, "shape": list(s.shape)} for s in specs]


def specs_from(document: Sequence[Mapping[str, Any]]) -> tuple[TensorSpec, ...]:
    """Read what `specs_json` gave."""
    return tuple(TensorSpec(s["name"], s["dtype"], tuple(s["shape"])) for s in document)
