"""Constants as the intervals of reals that they may stand for.

A stored constant is the rounding of the number that its author meant: 3135 is 3136 in fp16. So it
is read as the interval of reals that round to it, and a number is accepted if it lies in the
interval which the arithmetic yields.

- fp32: n = H*W - 1 is told from H*W up to H*W = 5e6 (`SLACK` limits it).
- fp16, bf16: above H*W = 2048 and 256, H*W - 1 and H*W may round to the same constant n. The file
  of the one is then the file of the other, bit for bit, and the constant is taken for H*W - 1;
  the two differ in v by 1/(H*W), which is less than the rounding of the constant.
- That holds for stored constants only. What a graph computes from a shape is exact, and so is a
  power of two from 1/8 to 8: no author's 4 is a rounding. The mean of d^2, where no constant
  carries H*W, is a biased variance in fp16 as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

SLACK = 2.0**-23
"""Relative: two roundings more, of a constant that was folded from others in fp32."""

_TIE = 2.0**-9
"""Of half a unit in the last place: in fp16 and bf16 more than `SLACK`."""

_NOISE = 2.0**-40
"""Relative: what the float64 arithmetic on intervals may have added to them."""


@dataclass(frozen=True)
class Interval:
    """The closed interval [low, high] of float64."""

    low: float
    high: float

    @classmethod
    def exactly(cls, value: float) -> Interval:
        """Return the interval that holds `value` alone."""
        return cls(value, value)

    @classmethod
    def rounding_to(cls, value: float, roundoff: float, smallest: float) -> Interval:
        """Return the reals that round to `value`.

        Args:
            value: A constant as stored.
            roundoff: The unit roundoff of its format, 2^-11 for fp16; 0 for integers.
            smallest: The smallest subnormal of the format.
        """
        if not math.isfinite(value) or roundoff == 0 or value == 0:
            return cls.exactly(value)
        mantissa, exponent = math.frexp(abs(value))
        outward = max(math.ldexp(roundoff, exponent - 1), smallest / 2)
        inward = max(outward / 2, smallest / 2) if mantissa == 0.5 else outward
        # A tie goes to the even neighbour: 2519 is 2520 in fp16 and not 2518.
        share = 1.0 if abs(value) / (2 * outward) % 2 == 0 else 1.0 - _TIE
        low, high = abs(value) - share * inward, abs(value) + share * outward
        return cls(low, high) if value > 0 else cls(-high, -low)

    @classmethod
    def of_float32(cls, value: float) -> Interval:
        """Return the reals that round to `value` in fp32, as in an attribute of a node."""
        return cls.rounding_to(value, 2.0**-24, 2.0**-149)

    @property
    def middle(self) -> float:
        """The middle."""
        return (self.low + self.high) / 2

    @property
    def finite(self) -> bool:
        """Whether both ends are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.low)

    def __mul__(self, other: Interval) -> Interval:
        ends = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Interval(min(ends), max(ends))

    def __truediv__(self, other: Interval) -> Interval:
        return self * other.power(Fraction(-1))

    def power(self, exponent: Fraction) -> Interval:
        """Return the interval of powers; all reals where one of them is not defined."""
        has_pole = exponent < 0 and self.low <= 0 <= self.high
        has_gap = exponent.denominator > 1 and self.low < 0
        if has_pole or has_gap:
            return Interval(-math.inf, math.inf)
        try:
            ends = [float(end**exponent) for end in (self.low, self.high)]
        except OverflowError:
            return Interval(-math.inf, math.inf)
        if self.low < 0 < self.high and exponent % 2 == 0:
            ends.append(0.0)
        return Interval(min(ends), max(ends))

    def contains(self, value: float) -> bool:
        """Tell whether `value` is in it, give or take `SLACK`."""
        slack = SLACK * abs(value)
        return self.low - slack <= value <= self.high + slack

    def meets(self, other: Interval) -> bool:
        """Tell whether a number lies in both, give or take `SLACK`."""
        slack = SLACK * max(abs(self.middle), abs(other.middle))
        return self.low - slack <= other.high and other.low - slack <= self.high

    def shortest(self) -> float:
        """Return the shortest decimal number in it, as Python's repr does for a float64."""
        noise = _NOISE * abs(self.middle)
        for digits in range(1, 17):
            decimal = float(f"{self.middle:.{digits}g}")
            if self.low - noise <= decimal <= self.high + noise:
                return decimal
        return self.middle


ZERO = Interval.exactly(0.0)
ONE = Interval.exactly(1.0)
