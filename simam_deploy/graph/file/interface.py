"""What a graph takes and gives, in numpy's terms."""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.core.specs import TensorSpec

_NUMPY_NAMES = {"float": "float32", "double": "float64"}


def interface(model: ir.Model) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Describe the inputs, less those that are initializers too, and the outputs."""
    inputs = tuple(spec_of(v) for v in model.graph.inputs if not v.is_initializer())
    return inputs, tuple(spec_of(value) for value in model.graph.outputs)


def spec_of(value: ir.Value) -> TensorSpec:
    """Describe a value; an unnamed dynamic dimension becomes `?`."""
    dims = () if value.shape is None else value.shape
    shape = tuple(d if isinstance(d, int) else d.value or "?" for d in dims)
    return TensorSpec(value.name or "", dtype_name(value.dtype), shape)


def dtype_name(dtype: ir.DataType | None) -> str:
    """Give numpy's name of a dtype, `?` where it is unknown."""
    name = "?" if dtype is None else dtype.name.lower()
    return _NUMPY_NAMES.get(name, name)
