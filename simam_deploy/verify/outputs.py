"""Hold one runner against another, case by case, output by output, slice by slice."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.validation import CaseResult, ValidationReport
from simam_deploy.errors import InputError
from simam_deploy.graph.selection.outputs import pointed_name
from simam_deploy.runtime.protocol import Runner
from simam_deploy.verify.cases import TYING, Case
from simam_deploy.verify.layout import ROWS
from simam_deploy.verify.rule import Rule
from simam_deploy.verify.sets import compare_indices
from simam_deploy.verify.slices import Sliced, as_rows, largest, place_of, worst_slice
from simam_deploy.verify.spread import Behaviour, changes, is_discrete, magnitudes
from simam_deploy.verify.tolerance import COUNTED, LOST, SELECTED

_ALIKE = 2.0**-20
"""Of its largest value, what an output may move by between two runs on the same input: threads
sum in no fixed order, chance moves it by more."""


@dataclass(frozen=True)
class Recording:
    """A reference's outputs, kept so that its model can be freed before the next loads.

    Attributes:
        reference: What it was run by.
        outputs: Of every case.
        skipped: By case's name, the rows that the reference itself has no finite output for.
    """

    reference: str
    outputs: Mapping[Case, Feeds]
    skipped: Mapping[str, frozenset[int]]

    @functools.cached_property
    def largest(self) -> dict[str, float]:
        """By output, the largest magnitude over all cases."""
        found: dict[str, float] = {}
        for case, outputs in self.outputs.items():
            for name, array in outputs.items():
                sizes = magnitudes(array, len(case.kinds))
                found[name] = max(found.get(name, 0.0), float(sizes.max(initial=0.0)))
        return found

    @property
    def cases(self) -> tuple[Case, ...]:
        """The cases, in order."""
        return tuple(self.outputs)


def record(reference: Runner, cases: Iterable[Case]) -> Recording:
    """Run every case in the reference, the first one twice.

    Args:
        reference: The model that is right by definition.
        cases: The inputs.

    Raises:
        InputError: It gives something else each time.
    """
    outputs: dict[Case, Feeds] = {}
    skipped: dict[str, frozenset[int]] = {}
    for case in cases:
        first = not outputs
        outputs[case] = reference.run(case.feeds(reference.inputs))
        if first:
            _check_steady(outputs[case], reference.run(case.feeds(reference.inputs)))
        skipped[case.name] = frozenset(_unusable(outputs[case], len(case.kinds)))
    return Recording(reference.name, outputs, skipped)


def _check_steady(first: Feeds, second: Feeds) -> None:
    """Hold a case's second run against its first.

    Raises:
        InputError: The outputs differ.
    """
    for name, array in first.items():
        off = moved(array, second[name])
        if off > _ALIKE:
            raise InputError(
                f"two runs of the source on the same input differ by {off:.1e} at {name}: it "
                "draws random numbers (dropout left in training mode, noise) or keeps a state; "
                "take that out, nothing can be held against it"
            )


def moved(first: Array, second: Array) -> float:
    """Give the largest change over the largest magnitude; NaN that is in both is none."""
    if first.shape != second.shape:
        return np.inf
    if not first.size:
        return 0.0
    off = changes(first, second, 0)
    both = np.isnan(first) & np.isnan(second) if off.size == first.size else np.zeros(off.shape)
    scale = float(magnitudes(first, 0).max()) or 1.0
    return float(np.where(np.reshape(both, off.shape), 0.0, off).max()) / scale


def _unusable(outputs: Feeds, batch: int) -> Iterator[int]:
    """List the rows with a NaN in any output."""
    for array in outputs.values():
        if is_discrete(array) or not array.size:
            continue
        rows = as_rows(array, batch)
        bad = np.isnan(rows).reshape(len(rows), -1).any(axis=1)
        whole = len(rows) != batch and bad.any()
        yield from range(batch) if whole else np.flatnonzero(bad).tolist()


def run_cases(runner: Runner, cases: Iterable[Case]) -> dict[Case, Feeds]:
    """Run every case, its inputs made anew."""
    return {case: runner.run(case.feeds(runner.inputs)) for case in cases}


def compare(
    recording: Recording,
    rule: Rule,
    behaviour: Behaviour,
    got: Mapping[Case, Feeds],
    candidate: str,
) -> ValidationReport:
    """Hold a candidate's outputs against the recorded ones.

    Args:
        recording: The reference.
        rule: What bounds the candidate.
        behaviour: Of the reference's graph.
        got: The candidate's outputs of every recorded case, under the reference's names.
        candidate: What it was run by.

    Returns:
        The report; it fails on any NaN, missing output, shape or bound, and where nothing but
        empty sets was there to compare.

    Raises:
        InputError: The reference is NaN on every input.
    """
    if all(len(recording.skipped[c.name]) >= len(c.kinds) for c in recording.outputs):
        raise InputError("the source's own outputs are NaN on every input that was tried")
    results = [
        result
        for case, expected in recording.outputs.items()
        for result in judge_of(recording, rule, behaviour, case).results(expected, got[case])
    ]
    names = recording.reference, candidate
    return ValidationReport(
        *names,
        rule.precision,
        str(rule.tolerance),
        tuple(results) or (_nothing(recording),),
        given=rule.tolerance.given,
    )


def _nothing(recording: Recording) -> CaseResult:
    case, outputs = next(iter(recording.outputs.items()))
    reason = "the source detects nothing on any input that was tried: give real samples"
    return CaseResult(case.name, next(iter(outputs)), float("nan"), float("nan"), 0.0, reason)


def judge_of(recording: Recording, rule: Rule, behaviour: Behaviour, case: Case) -> Judge:
    """Give the judge of a case's outputs."""
    skipped = recording.skipped[case.name]
    return Judge(rule, behaviour, case, skipped, len(case.kinds), recording.largest)


@dataclass(frozen=True)
class Judge:
    """Compares the outputs of one case."""

    rule: Rule
    behaviour: Behaviour
    case: Case
    skipped: frozenset[int]
    batch: int
    largest: Mapping[str, float]

    def results(self, expected: Feeds, got: Feeds) -> Iterator[CaseResult]:
        """Judge every output; sets that are empty on both sides say nothing."""
        ours, theirs = self.behaviour.layout.arranged(expected, got)
        for name, array in ours.items():
            both_empty = not array.size and not theirs.get(name, array).size
            if not (both_empty and name in self.behaviour.layout.selected):
                yield self.result(name, array, theirs.get(name))

    def result(self, name: str, expected: Array, got: Array | None) -> CaseResult:
        """Find the slice that is nearest its bound, or furthest beyond it."""
        reason = _incomparable(expected, got)
        if reason or got is None:
            nothing = float("nan")
            return CaseResult(self.case.name, name, nothing, nothing, 0.0, reason)
        pointed = self.behaviour.layout.pointed.get(name)
        if pointed is not None and pointed_name(name) in self.behaviour.outputs[self.case]:
            return self._by_values(name, expected, got, pointed.axis)
        off = self._counted(name, changes(expected, got, self.batch))
        sizes, allowed = self.bounds(name, expected)
        return self._worst(name, expected, off, sizes, allowed)

    def _by_values(self, name: str, expected: Array, got: Array, axis: int) -> CaseResult:
        """Judge indices by the reference's values that they point to: a tie may go either way."""
        values = self.behaviour.outputs[self.case][pointed_name(name)]
        found = compare_indices(expected, got, values, axis)
        sizes, allowed = self.bounds(pointed_name(name), values)
        size, bound = (max(float(each.max()) for each in s) for s in (sizes, allowed))
        if found.reason:
            nothing = float("nan")
            return CaseResult(self.case.name, name, nothing, nothing, 0.0, found.reason)
        where = f"the values that {found.moved} of {found.count} indices point to"
        off = found.max_abs, found.max_abs / size
        return CaseResult(self.case.name, name, *off, bound / size, where=where)

    def bounds(self, name: str, expected: Array) -> tuple[Sliced, Sliced]:
        """Give what each slice's difference is relative to, and the bound on it."""
        rows = magnitudes(expected, self.batch)
        whole = rows.reshape(len(rows), -1).max(axis=1)
        whole = np.where(whole > 0, whole, whole.max() or 1.0)
        sizes = [_filled(size, whole) for size in largest(rows)]
        if self.rule.tolerance.whole:
            whole = np.full_like(whole, self.largest.get(name) or whole.max())
            sizes = [np.broadcast_to(whole[:, None], size.shape) for size in sizes]
        noise = self.behaviour.spread.noise(self.case.name, name, rows)
        tolerance = self.rule.tolerance
        if self.behaviour.layout.is_set(name):
            # Its rows are alike: what rounding made of one in two draws, it may make of any.
            noise = [np.broadcast_to(n.max(axis=1, keepdims=True), n.shape) for n in noise]
        if is_discrete(expected):
            cap = LOST if name.startswith(ROWS) else COUNTED
            tolerance = replace(tolerance, floor=0.0, cap=cap)
        elif self.behaviour.layout.is_set(name) and not tolerance.given:
            tolerance = replace(tolerance, cap=max(tolerance.cap, SELECTED))
        return sizes, tolerance.allowed(sizes, whole, noise)

    def _counted(self, name: str, off: Array) -> Array:
        """Leave out the rows that the reference has nothing for.

        And of a set those of inputs on which scores tie, saturated or on even planes: which of
        equals are taken is nobody's error. What they are taken from is compared there too.
        """
        if len(off) != self.batch:
            return off
        off[sorted(self.skipped)] = 0.0
        if self.behaviour.layout.is_set(name):
            off[[kind in TYING for kind in self.case.kinds]] = 0.0
        return off

    def _worst(
        self, name: str, expected: Array, off: Array, sizes: Sliced, allowed: Sliced
    ) -> CaseResult:
        errors = largest(off)
        axis, row, number = worst_slice(errors, allowed)
        error, size = errors[axis][row, number], sizes[axis][row, number]
        return CaseResult(
            self.case.name,
            name,
            float(error),
            float(error / size),
            float(allowed[axis][row, number] / size),
            where=self._where(off, axis, row, number),
        )

    def _where(self, off: Array, axis: int, row: int, number: int) -> str:
        """Name a row by its kind, where there are several, and a slice by its number."""
        several = len(set(self.case.kinds)) > 1 and len(off) == self.batch
        words = [self.case.kinds[row] if several else "", place_of(off, axis, number)]
        return ", ".join(word for word in words if word)


def _filled(size: Array, whole: Array) -> Array:
    """Give slices that are 0 throughout the size of the smallest beside them that is not."""
    beside = np.where(size > 0, size, np.inf).min(axis=1, keepdims=True)
    return np.where(size > 0, size, np.where(np.isfinite(beside), beside, whole[:, None]))


def _incomparable(expected: Array, got: Array | None) -> str:
    """Say why two outputs cannot be compared, or nothing."""
    if got is None:
        return "output missing"
    if got.shape != expected.shape:
        return f"shape {got.shape}, expected {expected.shape}"
    if not expected.size:
        return f"an empty array, {got.shape}: there is nothing to compare"
    if is_discrete(expected) != is_discrete(got):
        return f"{got.dtype}, expected {expected.dtype}"
    bad = int(np.count_nonzero(~np.isfinite(got) & np.isfinite(expected)))
    return f"{bad} of {got.size} values of the candidate are NaN or infinite" if bad else ""
