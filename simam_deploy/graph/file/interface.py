"""What a graph takes and gives, in numpy's terms."""

from __future__ import annotations

import math

import onnx
import onnx_ir as ir

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.graph.file.tensors import LARGEST_VALUE
from simam_deploy.graph.types import dtype_name


def interface(model: ir.Model) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Describe the inputs, less those that are initializers too, and the outputs."""
    inputs = tuple(spec_of(v) for v in model.graph.inputs if not v.is_initializer())
    return inputs, tuple(spec_of(value) for value in model.graph.outputs)


def check_interface(model: ir.Model, name: str) -> None:
    """Refuse a model that cannot be given arrays of numbers, or does not give such.

    Args:
        model: The model.
        name: What an error calls it.

    Raises:
        InputError: It takes nothing, an input has no shape, or an input or output
            is no tensor of numbers; names it.
    """
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    if not inputs:
        raise InputError(f"{name} takes no input: there is nothing to compute or to compare")
    for role, values in (("input", inputs), ("output", model.graph.outputs)):
        for value in values:
            if kind := _kind(value):
                raise InputError(f"{name}: {_no_tensor(role, value.name or '', kind)}")
    for value in inputs:
        _check_shape(value, name)


def _kind(value: ir.Value) -> str:
    """Name what a value is, if it is no tensor of numbers."""
    if isinstance(value.type, ir.SequenceType):
        return "a sequence"
    if isinstance(value.type, ir.OptionalType):
        return "an optional"
    return "a tensor of strings" if value.dtype == ir.DataType.STRING else ""


def _no_tensor(role: str, name: str, kind: str) -> str:
    return (
        f"{role} {name!r} is {kind}: export it again with a tensor of numbers there, and leave "
        "the rest to the program around it"
    )


def _check_shape(value: ir.Value, name: str) -> None:
    if value.shape is None:
        raise InputError(
            f"{name} states no shape for input {value.name}: export it again with one, a free "
            "size by a name"
        )
    if math.prod(size for size in value.shape if isinstance(size, int)) > LARGEST_VALUE:
        raise InputError(f"{name} takes {spec_of(value)}: more than {LARGEST_VALUE} numbers")


def refuse_kinds(model: onnx.ModelProto) -> None:
    """Refuse maps, which onnx_ir cannot read.

    Raises:
        InputError: An input, an output or a value in between is one, or of such.
    """
    graph = model.graph
    for role, values in (("input", graph.input), ("output", graph.output)):
        for value in values:
            if kind := _of_maps(value.type):
                raise InputError(_no_tensor(role, value.name, kind))


def _of_maps(kind: onnx.TypeProto) -> str:
    if kind.HasField("map_type"):
        return "a map"
    if kind.HasField("sequence_type") and kind.sequence_type.elem_type.HasField("map_type"):
        return "a sequence of maps, as ZipMap makes it"
    return ""


def spec_of(value: ir.Value) -> TensorSpec:
    """Describe a value; an unnamed dynamic dimension becomes `?`."""
    dims = () if value.shape is None else value.shape
    shape = tuple(d if isinstance(d, int) else d.value or "?" for d in dims)
    return TensorSpec(value.name or "", dtype_name(value.dtype), shape)
