"""What a graph takes and gives, in numpy's terms."""

from __future__ import annotations

import onnx_ir as ir

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.graph.types import dtype_name


def interface(model: ir.Model) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Describe the inputs, less those that are initializers too, and the outputs."""
    inputs = tuple(spec_of(v) for v in model.graph.inputs if not v.is_initializer())
    return inputs, tuple(spec_of(value) for value in model.graph.outputs)


def refuse_empty(inputs: tuple[TensorSpec, ...], name: str) -> None:
    """Refuse a model that takes nothing.

    Raises:
        InputError: An input has a size of 0; names it.
    """
    for spec in inputs:
        if 0 in spec.shape:
            raise InputError(
                f"{name} takes {spec}: with a size of 0 there is nothing to compute or to compare; "
                "export it with a free batch, or one of 1"
            )


def spec_of(value: ir.Value) -> TensorSpec:
    """Describe a value; an unnamed dynamic dimension becomes `?`."""
    dims = () if value.shape is None else value.shape
    shape = tuple(d if isinstance(d, int) else d.value or "?" for d in dims)
    return TensorSpec(value.name or "", dtype_name(value.dtype), shape)
