"""A small constant of a graph, stored or computed from shapes, and its history of formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from simam_deploy.errors import InputError
from simam_deploy.graph.recognise.interval import Interval

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Constant:
    """A value, with the coarsest floating format that it has passed through.

    Attributes:
        array: The value.
        roundoff: The unit roundoff of that format, 2^-11 for fp16; 0 if there was none.
        smallest: Its smallest subnormal.
    """

    array: Array
    roundoff: float
    smallest: float

    @classmethod
    def made_from(cls, array: Array, sources: Sequence[Constant]) -> Constant:
        """Return `array` as a constant computed from `sources`."""
        formats = [(source.roundoff, source.smallest) for source in sources]
        if array.dtype.name == "bfloat16":
            formats.append((2.0**-8, 2.0**-133))
        elif array.dtype.kind == "f":
            info = np.finfo(array.dtype)
            formats.append((float(info.eps) / 2, float(info.smallest_subnormal)))
        return cls(array, *max(formats, default=(0.0, 0.0)))

    @classmethod
    def stored(cls, tensor: ir.TensorProtocol) -> Constant:
        """Load a constant from the file.

        Raises:
            InputError: Its data cannot be read, as when an external file is missing.
        """
        try:
            return cls.made_from(np.asarray(tensor.numpy()), [])
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"tensor {tensor.name!r} cannot be read: {error}") from error

    def interval(self) -> Interval | None:
        """Return the reals it may stand for; None if it is not one number throughout."""
        if self.array.size == 0 or self.array.dtype.kind not in "fiuV":
            return None
        first = self.array.flat[0]
        if not (self.array == first).all():
            return None
        return Interval.rounding_to(float(first), self.roundoff, self.smallest)
