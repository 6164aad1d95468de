"""The eight-bit formats: INT8 with its even steps, and FP8 E4M3, whose steps grow with the value.

Of both, zero is zero and the range is symmetric: a value is stored as a number of the format, and
a scale times that is what it stands for. E4M3 has four bits of exponent and three of mantissa, no
infinity, and 448 as its largest number (Micikevicius et al., "FP8 formats for deep learning",
2022; ONNX's FLOAT8E4M3FN).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from simam_deploy.core.arrays import Array

_LEAST, _MOST = -6, 8
"""Exponents of E4M3's normal numbers; below them steps are those of the least."""


@dataclass(frozen=True)
class Format:
    """A set of numbers.

    Attributes:
        name: Of the precision.
        dtype: What it is stored in.
        largest: Of its numbers.
        bands: By magnitude: up to where, and the distance between neighbours there.
        folds_add: Whether TensorRT-RTX takes an Add into the kernel of a convolution in it.
    """

    name: str
    dtype: ir.DataType
    largest: float
    bands: tuple[tuple[float, float], ...]
    folds_add: bool

    @property
    def is_even(self) -> bool:
        """Whether all steps are alike."""
        return len(self.bands) == 1

    def steps(self, magnitudes: Array) -> Array:
        """Give the distance between neighbours at each magnitude, the finer where bands meet.

        Args:
            magnitudes: In units of the scale.
        """
        ends, steps = (np.array(each) for each in zip(*self.bands, strict=True))
        places = np.searchsorted(ends, magnitudes)
        found: Array = steps[np.minimum(places, len(steps) - 1)]
        return found

    def stored(self, values: Array) -> Array:
        """Round to the nearest number, ties to even; what is beyond the largest becomes that.

        Args:
            values: In units of the scale.
        """
        within = np.clip(values, -self.largest, self.largest)
        rounded = np.rint(within) if self.is_even else within
        array: Array = rounded.astype(self.dtype.numpy())
        return array


def _floating(mantissa: int) -> tuple[tuple[float, float], ...]:
    """Give the bands of a format with E4M3's exponents and so many bits of mantissa."""
    ends = [2.0 ** (exponent + 1) for exponent in range(_LEAST, _MOST)]
    steps = [2.0 ** (exponent - mantissa) for exponent in range(_LEAST, _MOST + 1)]
    return tuple(zip((*ends, 448.0), steps, strict=True))


_FP8 = ir.DataType.FLOAT8E4M3FN
INT8 = Format("int8", ir.DataType.INT8, 127, ((127, 1.0),), folds_add=True)
"""-128 is left unused, so that zero is in the middle."""
FP8 = Format("fp8", _FP8, 448, _floating(3), folds_add=False)
FORMATS: Mapping[str, Format] = {each.name: each for each in (INT8, FP8)}
"""By precision."""
_SEVEN = {
    "int8": Format("int7", ir.DataType.INT8, 63, ((63, 1.0),), folds_add=True),
    "fp8": Format("fp7", _FP8, 448, _floating(2), folds_add=False),
}


def seven_bits(of: Format) -> Format:
    """Give the format with a bit less: half as many steps."""
    return _SEVEN[of.name]
