"""A small constant of a graph, stored or computed from shapes, and its history of formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array
from simam_deploy.errors import InputError
from simam_deploy.graph.recognise.interval import Interval

_LARGEST = 8192
"""Elements: a vector of one number a channel is read, a weight is not."""

_SURELY_EXACT = [0.0, *(sign * 2.0**k for k in range(-3, 4) for sign in (1, -1))]
"""No author's 4, 1 or 0.5 is the rounding of another number."""

_PRECISION = {
    ir.DataType.FLOAT16: (2.0**-11, 2.0**-24),
    ir.DataType.BFLOAT16: (2.0**-8, 2.0**-133),
    ir.DataType.FLOAT: (2.0**-24, 2.0**-149),
    ir.DataType.DOUBLE: (2.0**-53, 2.0**-1074),
}
"""Unit roundoff and smallest subnormal."""


@dataclass(frozen=True)
class Constant:
    """A value, beside the one that its author meant.

    A number derived from a shape is meant exactly, in whichever format the graph computes it: an
    n that is cast to fp16 at run time comes from the integer H*W - 1. A number that is stored in
    fp16 may be the rounding of any in an interval.

    Attributes:
        array: The value, as the graph computes it.
        meant: The same computed in float64.
        roundoff: The unit roundoff of the coarsest format that something in it was stored in,
            2^-11 for fp16; 0 if all is exact.
        smallest: The smallest subnormal of that format.
    """

    array: Array
    meant: Array
    roundoff: float = 0.0
    smallest: float = 0.0

    @staticmethod
    def is_readable(tensor: ir.TensorProtocol) -> bool:
        """Tell whether `tensor` is small and of a type that arithmetic is done in."""
        known = tensor.dtype.is_integer() or tensor.dtype in (ir.DataType.BOOL, *_PRECISION)
        return known and tensor.size <= _LARGEST

    @classmethod
    def stored(cls, tensor: ir.TensorProtocol) -> Constant:
        """Load a constant from the file.

        Raises:
            InputError: Its data cannot be read, as when an external file is missing.
        """
        try:
            array = np.asarray(tensor.numpy())
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"tensor {tensor.name!r} cannot be read: {error}") from error
        if not tensor.dtype.is_floating_point():
            return cls(array, array)
        meant = array.astype(np.float64)
        exact = bool(np.isin(meant, _SURELY_EXACT).all())
        return cls(array, meant) if exact else cls(array, meant, *_PRECISION[tensor.dtype])

    @classmethod
    def computed(cls, array: Array, meant: Array, sources: Sequence[Constant]) -> Constant:
        """Return what an operator made of `sources`."""
        formats = [(source.roundoff, source.smallest) for source in sources]
        return cls(array, meant, *max(formats, default=(0.0, 0.0)))

    def interval(self) -> Interval | None:
        """Return the reals it may stand for; None if it is not one number throughout."""
        if self.meant.size == 0 or self.meant.dtype.kind not in "fiu":
            return None
        first = self.meant.flat[0]
        if not (self.meant == first).all():
            return None
        overflown = not np.isfinite(self.array.astype(np.float64)).all()
        value = float(self.array.flat[0]) if overflown else float(first)
        return Interval.rounding_to(value, self.roundoff, self.smallest)
