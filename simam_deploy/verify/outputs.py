"""Hold one runner against another, case by case, output by output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.validation import CaseResult, ValidationReport
from simam_deploy.runtime.protocol import Runner
from simam_deploy.verify.cases import Case
from simam_deploy.verify.rule import Rule


@dataclass(frozen=True)
class Recording:
    """A reference runner's outputs, kept so that its model can be freed before the next loads.

    `spread` is, by output, the largest relative change over all cases that rounding makes, and
    `rule` what candidates are judged by.
    """

    rule: Rule
    reference: str
    outputs: Mapping[Case, Feeds]
    spread: Mapping[str, float]


def record(reference: Runner, shaken: Runner, cases: Iterable[Case], rule: Rule) -> Recording:
    """Run every case in the reference, and in the same model with its rounding disturbed.

    Args:
        reference: The model that is right by definition.
        shaken: The same model, its layers' outputs each off by up to a unit in the last place.
        cases: The inputs; the rule's own, or some of them.
        rule: What candidates will be judged by.
    """
    outputs: dict[Case, Feeds] = {}
    spread: dict[str, float] = {}
    for case in cases:
        feeds = case.feeds(reference.inputs)
        outputs[case] = reference.run(feeds)
        for name, moved in shaken.run(feeds).items():
            _, change = difference(outputs[case][name], moved)
            spread[name] = max(spread.get(name, 0.0), change)
    return Recording(rule, reference.name, outputs, spread)


def compare(recording: Recording, runner: Runner) -> ValidationReport:
    """Run every recorded case in `runner` and compare each output.

    Args:
        recording: The reference.
        runner: The candidate; its inputs and outputs bear the reference's names.

    Returns:
        The report; it fails on any NaN or infinity, missing output, shape or bound.
    """
    rule = recording.rule
    results = []
    for case, expected in recording.outputs.items():
        got = runner.run(case.feeds(runner.inputs))
        for name, array in expected.items():
            allowed = rule.tolerance.allowed(recording.spread[name])
            results.append(_compare_output(case.name, name, array, got.get(name), allowed))
    names = recording.reference, runner.name
    return ValidationReport(*names, rule.precision, str(rule.tolerance), tuple(results))


def difference(expected: Array, got: Array) -> tuple[float, float]:
    """Give the largest difference, and the same over the largest magnitude expected."""
    reference = expected.astype(np.float64)
    max_abs = float(np.max(np.abs(got.astype(np.float64) - reference), initial=0.0))
    largest = float(np.max(np.abs(reference), initial=0.0))
    return max_abs, max_abs / largest if largest else max_abs


def _compare_output(
    case: str, name: str, expected: Array, got: Array | None, allowed: float
) -> CaseResult:
    reason = _incomparable(expected, got)
    if reason or got is None:
        return CaseResult(case, name, float("nan"), float("nan"), allowed, reason)
    return CaseResult(case, name, *difference(expected, got), allowed)


def _incomparable(expected: Array, got: Array | None) -> str:
    """Say why two outputs cannot be compared, or nothing."""
    if got is None:
        return "output missing"
    if got.shape != expected.shape:
        return f"shape {got.shape}, expected {expected.shape}"
    for whose, array in (("reference", expected), ("candidate", got)):
        bad = int(np.count_nonzero(~np.isfinite(array)))
        if bad:
            return f"{bad} of {array.size} values of the {whose} are NaN or infinite"
    return ""
