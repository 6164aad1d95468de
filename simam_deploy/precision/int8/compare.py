"""One output of a candidate beside what int8 must cost it, cut by cut."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from simam_deploy.core.validation import CaseResult
from simam_deploy.precision.int8.chance import by_chance, variations
from simam_deploy.precision.int8.gain import LEAST, beside
from simam_deploy.precision.int8.slices import Change, Sums, Tally

ALLOWED = 2.0
"""Times the expected cost: one bit."""
MODEL = 1.4
"""Times the expected cost, what correct conversions come to where chance has no part."""
FLOOR = 2.0**-20
"""What float32 itself may cost, 8 units: a network can all but ignore its quantised layers."""
FLIPS = 4
"""Indices that may change by chance where none of eight draws of the noise changed one: that k do
is as likely as (1/9)^k, were candidate and draws alike, so five come once in 59,000."""
SCALED = " scaled"
"""Behind the name of a slice whose common factor a result is about."""


def compare(
    case: str,
    name: str,
    exact: Tally,
    got: Change,
    drawn: Sequence[Change],
    counted: bool = False,
) -> Iterator[CaseResult]:
    """Judge one output.

    Args:
        case: Of the results.
        name: The output's.
        exact: Its squares in the float32 network.
        got: By how much the candidate differs.
        drawn: By how much each draw of the noise does.
        counted: Whether the output is of indices, of which the number that differs is told.

    Yields:
        Of every cut the slice that costs most, the one that is most off by a factor, and the one
        of which a factor shows least.
    """
    reason = got.reason or next((f"with noise {d.reason}" for d in drawn if d.reason), "")
    if reason:
        yield CaseResult(case, name, math.nan, math.nan, ALLOWED, reason)
        return
    varied = variations([draw.squares.by_cut() for draw in drawn])
    slices = sum(len(of) for of in varied.values())
    for cut in exact.by_cut():
        sums = _Cut.of(cut, exact, got, drawn)
        chance = by_chance(varied[cut], len(drawn), slices) if cut else np.ones(1)
        floor = math.sqrt(FLIPS / _total(exact, cut).item()) if counted else FLOOR
        yield from sums.costs(case, name + cut, chance, floor)
        if len(sums.usual) >= LEAST:
            yield from sums.factors(case, name + cut + SCALED, varied[cut], slices)


@dataclass(frozen=True)
class _Cut:
    """Figures by slice, each over the slice's own size: of the candidate and of the draws."""

    cost: Sums
    usual: Sums
    factor: Sums
    drawn: Sums

    @classmethod
    def of(cls, cut: str, exact: Tally, got: Change, drawn: Sequence[Change]) -> _Cut:
        """Sum up one cut over all samples; what has no size is told as it is."""
        size = _total(exact, cut)
        size = np.where(size > 0, size, 1)
        usual = np.mean([_total(draw.squares, cut) for draw in drawn], axis=0)
        return cls(
            np.sqrt(_total(got.squares, cut) / size),
            np.sqrt(usual / size),
            _total(got.along, cut) / size,
            np.stack([_total(draw.along, cut) / size for draw in drawn]),
        )

    def costs(self, case: str, name: str, chance: Sums, floor: float) -> Iterator[CaseResult]:
        """Bound the cost of each slice by what it usually is."""
        factor = np.maximum(ALLOWED, MODEL * np.sqrt(chance))
        there = self.usual > 0
        allowed = np.where(there, np.where(there, factor, 1) * self.usual, 0.0)
        allowed = np.maximum(floor, allowed)
        yield _result(case, name, int(np.argmax(self.cost / allowed)), self.cost, allowed)

    def factors(self, case: str, name: str, varied: Sums, slices: int) -> Iterator[CaseResult]:
        """Bound the factor that each slice is off by."""
        off, allowed = beside(self.factor, self.drawn, self.usual, varied, slices)
        allowed = np.maximum(FLOOR, allowed)
        blunt = np.where(np.isfinite(allowed), allowed, 0)
        for i in sorted({int(np.argmax(off / allowed)), int(np.argmax(blunt))}):
            yield _result(case, name, i, off, allowed)


def _total(tally: Tally, cut: str) -> Sums:
    total: Sums = tally.by_cut()[cut].sum(axis=0)
    return total


def _result(case: str, name: str, i: int, found: Sums, allowed: Sums) -> CaseResult:
    return CaseResult(case, name.format(i), math.nan, float(found[i]), float(allowed[i]))
