"""What nodes are called by people: `3x3 conv 256 /2`, `ReLU`, `linear 1000`.

Sizes are those of the graph; a matrix product of two activations is called by its operator's name,
and what only moves or types data is left out.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import onnx_ir as ir

from simam_deploy.core.specs import shape_text

MOVES = (
    *("Cast", "Identity", "QuantizeLinear", "DequantizeLinear", "Constant", "ConstantOfShape"),
    *("Shape", "Size", "Gather", "Unsqueeze", "Squeeze", "Reshape", "Flatten", "Transpose"),
    *("Slice", "Expand", "Range"),
)
"""Operators that compute nothing."""
_NAMES = {
    "Add": "add",
    "AveragePool": "average pool",
    "BatchNormalization": "batch norm",
    "Concat": "concat",
    "GlobalAveragePool": "global average pool",
    "GlobalMaxPool": "global max pool",
    "MaxPool": "max pool",
    "Mul": "multiply",
    "ReduceMean": "mean",
    "Relu": "ReLU",
    "Resize": "resize",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
}
MOST = 8
"""Words of a part; the rest is counted."""


def describe(nodes: Sequence[ir.Node]) -> tuple[str, ...]:
    """Say what nodes compute, in their order; equal ones in a row are counted."""
    said = [word(node) for node in nodes if node.op_type not in MOVES]
    runs = [(text, len(list(run))) for text, run in itertools.groupby(said)]
    if len(runs) <= MOST:
        return tuple(map(_counted, runs))
    return (*map(_counted, _telling(runs)), _rest(runs))


def _counted(run: tuple[str, int]) -> str:
    text, count = run
    return text if count == 1 else f"{text} \N{MULTIPLICATION SIGN}{count}"


def _telling(runs: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Choose the layers of a long part, or else its commonest words, each once with its count."""
    counts = Counter[str]()
    for text, count in runs:
        counts[text] += count
    layers = [(text, n) for text, n in counts.items() if "conv" in text or "linear" in text]
    return layers[:MOST] or counts.most_common(MOST // 2)


def _rest(runs: Sequence[tuple[str, int]]) -> str:
    shown = sum(count for _, count in _telling(runs))
    return f"{sum(count for _, count in runs) - shown} more operations"


def word(node: ir.Node) -> str:
    """Call one node by a name."""
    if node.op_type in ("Conv", "ConvTranspose"):
        return _convolution(node)
    if node.op_type in ("Gemm", "MatMul"):
        width = _width(node)
        return node.op_type if width is None else f"linear {width}"
    name = _NAMES.get(node.op_type, node.op_type)
    if node.op_type in ("MaxPool", "AveragePool"):
        return f"{_window(_ints(node, 'kernel_shape'))} {name}{_stride(node)}"
    return name


def _convolution(node: ir.Node) -> str:
    shape = _dims(node.inputs[1])
    name = "conv" if node.op_type == "Conv" else "up-conv"
    if shape is None:
        return name
    groups = _int(node, "group", 1)
    out = shape[0] if node.op_type == "Conv" else shape[1] * groups
    if groups > 1:
        name = f"depthwise {name}" if groups == out else f"{name} of {groups} groups"
    if len(shape) == 3:
        name = f"1-d {name}" if shape[2] == 1 else f"{shape[2]}-wide 1-d {name}"
        return f"{name} {out}{_stride(node)}"
    return f"{_window(shape[2:])} {name} {out}{_stride(node)}"


def _window(sizes: Sequence[int]) -> str:
    return shape_text(sizes).replace("x", "\N{MULTIPLICATION SIGN}")


def _stride(node: ir.Node) -> str:
    steps = set(_ints(node, "strides"))
    return f" /{max(steps)}" if steps and steps != {1} else ""


def _width(node: ir.Node) -> int | None:
    """Give how many numbers a product with weights makes; None where both sides are computed."""
    shape, value = _dims(node.inputs[1]), node.inputs[1]
    weights = value is not None and (value.is_initializer() or value.producer() is not None)
    if shape is None or len(shape) != 2 or not weights:
        return None
    return shape[0] if _int(node, "transB", 0) else shape[1]


def _dims(value: ir.Value | None) -> tuple[int, ...] | None:
    """Give a shape, None where not all of it is known."""
    if value is None or value.shape is None:
        return None
    sizes = tuple(dim for dim in value.shape if isinstance(dim, int))
    return sizes if len(sizes) == len(value.shape) else None


def _int(node: ir.Node, name: str, default: int) -> int:
    found = node.attributes.get(name)
    return default if found is None else found.as_int()


def _ints(node: ir.Node, name: str) -> tuple[int, ...]:
    found = node.attributes.get(name)
    return () if found is None else tuple(found.as_ints())
