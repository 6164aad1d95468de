"""What rounding makes of a network's outputs, told from the network itself.

The same graph is run with its rounding drawn anew (`precision.disturb`), and what changes is
looked at by row and slice. A slice may be a single number, of which a few draws say little: so
draws are pooled. With s the root mean square of a slice's changes, taken over all rows and draws,
each row's in units of its own, and M the largest change in a row,

    noise of a slice in a row = M * s / (the largest s along that axis)

A slice as noisy as the noisiest is then allowed the row's largest change, whatever was drawn
there, and a quiet one its share. Of n numbers no share below sqrt(2 / n) can be told from that, so
its square is added to the share's: 0.2 for a score of five rows in two draws, and nothing to speak
of for a channel of 8400 cells.

On an even picture that is too little. Equal numbers round alike, so a map's noise lies at its edges
and along them, and s of a line through the quiet middle says nothing of the two ends that decide
its largest change: of a correct float16 Faster R-CNN on a blank frame they come to 5 times what
M * s / (the largest s) is. There a slice has the share of its noisiest place instead, if that is
more. A place is where two slices meet, and has the root mean square over what is left: over 256
channels, for a row and a column of a map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.runtime.protocol import Runner
from simam_deploy.verify.cases import EVEN, Case
from simam_deploy.verify.layout import Layout
from simam_deploy.verify.slices import Sliced, as_rows, axes_of, by_slice


@dataclass(frozen=True)
class Spread:
    """The noise of every output.

    Attributes:
        peaks: By case's name and output, the largest change in each row.
        shares: By output, axis and how many slices there are, each slice's part of it, at most 1.
        places: By case's name and output, the part that the noisiest place has in each row and
            slice; 0 in rows that are not even.
    """

    peaks: Mapping[tuple[str, str], Array]
    shares: Mapping[tuple[str, int, int], Array]
    places: Mapping[tuple[str, str], Sliced] = field(default_factory=dict)

    def noise(self, case: str, output: str, rows: Array) -> Sliced:
        """Give the noise in each row and slice of an output's `changes`."""
        peak = self.peaks.get((case, output), np.zeros(len(rows)))
        sizes = [rows.shape[axis] if rows.ndim > 1 else 1 for axis in axes_of(rows)]
        shares = [self.shares.get((output, a, n), np.ones(n)) for a, n in enumerate(sizes)]
        places = self.places.get((case, output), [np.zeros((1, 1))] * len(shares))
        return [
            peak[:, None] * np.maximum(share[None, :], place)
            for share, place in zip(shares, places, strict=True)
        ]


def is_discrete(array: Array) -> bool:
    """Tell whether an output is counted (integers, booleans) and not measured."""
    return not np.issubdtype(array.dtype, np.floating) and array.dtype.kind in "biu"


def changes(expected: Array, got: Array, batch: int) -> Array:
    """Give how far two arrays of one shape are apart, in float64, the batch's axis first.

    Of numbers that is the magnitude of their difference, 0 where both are the same infinity; of
    integers and booleans the share of a row's that differ, (rows, 1).
    """
    if is_discrete(expected):
        rows = as_rows(expected != got, batch)
        shares: Array = rows.reshape(len(rows), -1).mean(axis=1, keepdims=True)
        return shares
    with np.errstate(invalid="ignore"):
        off = np.abs(got.astype(np.float64) - expected.astype(np.float64))
    return as_rows(np.where(expected == got, 0.0, off), batch)


def magnitudes(expected: Array, batch: int) -> Array:
    """Give what differences are relative to: magnitudes, of counted outputs 1 a row."""
    if is_discrete(expected):
        return np.ones((len(as_rows(expected, batch)), 1))
    sizes = np.abs(expected.astype(np.float64))
    return as_rows(np.where(np.isfinite(sizes), sizes, 0.0), batch)


@dataclass(frozen=True)
class Behaviour:
    """What a reference's graph does on the cases that a candidate is judged on.

    Attributes:
        outputs: What it gives, by case.
        spread: What rounding makes of that.
        layout: How it lies.
    """

    outputs: Mapping[Case, Feeds]
    spread: Spread
    layout: Layout


def measure_spread(
    outputs: Mapping[Case, Feeds], disturbed: Sequence[Runner], layout: Layout
) -> Spread:
    """Run every case in graphs whose rounding is drawn anew.

    Args:
        outputs: The same graph's without that.
        disturbed: The graph, disturbed in several ways.
        layout: Of the outputs.
    """
    tally = _Tally()
    for case, expected in outputs.items():
        drawn = [runner.run(case.feeds(runner.inputs)) for runner in disturbed]
        pairs = [layout.arranged(expected, each) for each in drawn]
        for name, array in pairs[0][0].items():
            tally.add(case.name, name, array, [got[name] for _, got in pairs], case.kinds)
    return tally.spread()


class _Tally:
    """Collects changes, case by case."""

    def __init__(self) -> None:
        self._peaks: dict[tuple[str, str], Array] = {}
        self._scales: dict[tuple[str, str], Array] = {}
        self._squares: dict[tuple[str, int, int], list[Array]] = {}
        self._counts: dict[tuple[str, int, int], int] = {}
        self._places: dict[tuple[str, str], Sliced] = {}

    def add(
        self, case: str, output: str, expected: Array, drawn: Sequence[Array], kinds: Sequence[str]
    ) -> None:
        """Take one output of one case, whose rows are of these kinds."""
        batch = len(kinds)
        if not expected.size or any(each.shape != expected.shape for each in drawn):
            return
        off = [_finite(changes(expected, each, batch)) for each in drawn]
        flat = [each.reshape(len(each), -1) for each in off]
        self._peaks[case, output] = np.max([each.max(axis=1) for each in flat], axis=0)
        even = np.array([kind in EVEN for kind in kinds])
        even = even if len(even) == len(off[0]) else np.array([even.all()])
        if even.any() and len(axes_of(off[0])) > 1:
            self._places[case, output] = [each * even[:, None] for each in _by_place(off)]
        sizes = magnitudes(expected, batch)
        self._scales[case, output] = sizes.reshape(len(sizes), -1).max(axis=1)
        means = [by_slice(each * each, np.mean) for each in off]
        for axis, each in enumerate(zip(*means, strict=True)):
            mean = np.mean(each, axis=0)
            key = output, axis, mean.shape[1]
            self._squares.setdefault(key, []).append(mean)
            self._counts[key] = self._counts.get(key, 0) + off[0].size * len(off) // mean.shape[1]

    def spread(self) -> Spread:
        """Pool what was taken."""
        shares = {
            key: _shares(np.concatenate(rows), self._counts[key])
            for key, rows in self._squares.items()
        }
        typical = {name: self._typical(name) for _, name in self._peaks}
        peaks = {
            key: np.maximum(peak, typical[key[1]] * self._scales[key])
            for key, peak in self._peaks.items()
        }
        return Spread(peaks, shares, self._places)

    def _typical(self, output: str) -> float:
        """Give the middle of the rows' largest changes, over the rows' largest values."""
        relative = [
            self._peaks[key] / np.where(scale, scale, 1.0)
            for key, scale in self._scales.items()
            if key[1] == output
        ]
        return float(np.median(np.concatenate(relative)))


def _finite(off: Array) -> Array:
    """Leave out what overflowed in a draw: it says nothing of the rest."""
    return np.where(np.isfinite(off), off, 0.0)


def _shares(squares: Array, count: int) -> Array:
    """Give each slice's root mean square over the largest.

    Args:
        squares: Mean squares, (rows, slices).
        count: How many numbers of a slice they are of.
    """
    whole = squares.mean(axis=1, keepdims=True)
    noisy = whole[:, 0] > 0
    if not noisy.any():
        return np.ones(squares.shape[1])
    pooled = np.mean(squares[noisy] / whole[noisy], axis=0)
    share: Array = np.sqrt(np.minimum(1.0, pooled / pooled.max() + 2 / count))
    return share


def _by_place(off: Sequence[Array]) -> Sliced:
    """Give what the noisiest place of each slice has of the noisiest of all.

    Args:
        off: Changes (rows, ...) in each draw, of two axes with slices or more.
    """
    axes = axes_of(off[0])
    squares = sum((each * each for each in off), start=np.zeros(off[0].shape))
    return [
        np.max([_noisiest(squares, a, b, len(off)) for b in axes if b != a], axis=0) for a in axes
    ]


def _noisiest(squares: Array, axis: int, other: int, draws: int) -> Array:
    """Look at the places where slices along an axis meet those along another: (rows, slices)."""
    left = tuple(a for a in range(1, squares.ndim) if a not in (axis, other))
    places = squares.mean(axis=left)
    most = places.max(axis=2 if axis < other else 1)
    count = draws * (squares.size // places.size)
    whole = most.max(axis=1, keepdims=True)
    share: Array = np.sqrt(np.minimum(1.0, most / np.where(whole, whole, 1.0) + 2 / count))
    return share
