import json
import re

import numpy as np
import pytest

from simam_deploy.core.specs import TensorSpec
from simam_deploy.core.validation import ValidationReport
from simam_deploy.verify.cases import KINDS, Case, cases_for
from simam_deploy.verify.outputs import Recording, compare, record
from simam_deploy.verify.rule import rule_for
from simam_deploy.verify.tolerance import TOLERANCES


class Scaled:
    """A runner that multiplies its input and lets a test bend the result."""

    inputs = (TensorSpec("x", "float32", ("n", 3, 4, 4)),)
    outputs = (TensorSpec("y", "float32", ("n", 3, 4, 4)),)
    name = "scaled"

    def __init__(self, factor, bend=lambda y: y):
        self.factor, self.bend = factor, bend

    def run(self, feeds):
        return {"y": self.bend(feeds["x"] * np.float32(self.factor))}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass


RULE = rule_for("fp32", "fp32")
CASES = cases_for([((1, 3, 4, 4),), ((3, 3, 4, 4),)])


def check(candidate, spread=0.0) -> ValidationReport:
    return compare(record(Scaled(2.0), Scaled(2.0 * (1 + spread)), CASES, RULE), candidate)


def set_first(value):
    def bend(y):
        y.flat[0] = value
        return y

    return bend


def test_equal_runners_agree_exactly():
    report = check(Scaled(2.0))
    assert report.passed
    assert report.summary()["max_rel"] == 0.0
    assert report.summary()["cases"] == len(CASES) == 6


@pytest.mark.parametrize(
    ("spread", "bound"),
    [(0.0, 5e-6), (1e-7, 5e-6), (1e-5, 1.6e-4), (1e-2, 1e-3)],
    ids=["floor", "still the floor", "16 x rounding", "cap"],
)
def test_the_bound_follows_the_networks_own_rounding(spread, bound):
    within, beyond = check(Scaled(2 + 1.8 * bound), spread), check(Scaled(2 + 2.2 * bound), spread)
    assert within.passed
    assert not beyond.passed
    assert beyond.summary()["max_rel"] == pytest.approx(1.1 * bound, rel=0.05)
    assert beyond.summary()["allowed"] == pytest.approx(bound, rel=0.02)
    assert "16 x" in beyond.rule


@pytest.mark.parametrize(
    ("bend", "reason"),
    [
        (set_first(np.nan), "1 of 48 values of the candidate are NaN"),
        (set_first(np.inf), "1 of 48 values of the candidate are NaN or infinite"),
        (lambda y: y[:, :2], r"shape \(1, 2, 4, 4\), expected \(1, 3, 4, 4\)"),
    ],
)
def test_what_cannot_be_compared_fails(bend, reason):
    report = check(Scaled(2.0, bend))
    assert not report.passed
    assert re.match(reason, report.worst.reason)


def compared(expected, outputs):
    class Fixed(Scaled):
        def run(self, feeds):
            return outputs

    case = CASES[0]
    return compare(Recording(RULE, "r", {case: {"y": expected}}, {"y": 0.0}), Fixed(1.0))


def test_a_reference_of_nan_fails_even_against_itself():
    nan = np.full(3, np.nan)
    report = compared(nan, {"y": nan})
    assert not report.passed
    assert "reference" in report.worst.reason


def test_a_missing_output_fails():
    assert not compared(np.ones(3), {"z": np.ones(3)}).passed


def test_a_zero_reference_is_compared_absolutely():
    assert not compared(np.zeros(3), {"y": np.full(3, 1e-3)}).passed
    assert compared(np.zeros(3), {"y": np.zeros(3)}).passed


def test_no_cases_is_no_pass():
    assert not ValidationReport("a", "b", "fp32", "rule", ()).passed


def test_details_are_json_without_nan():
    report = check(Scaled(2.0, set_first(np.nan)))
    json.dumps(report.details(), allow_nan=False)
    assert TOLERANCES["fp32"].cap == 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_case_makes_the_same_input_each_time(kind):
    case = Case(kind, ((2, 3, 4, 4),))
    first, second = case.feeds(Scaled.inputs)["x"], case.feeds(Scaled.inputs)["x"]
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32


def test_the_kinds_are_what_they_say():
    spec, shape = Scaled.inputs, (2, 3, 8, 8)
    made = {kind: Case(kind, (shape,)).feeds(spec)["x"] for kind in KINDS}
    assert 0.8 < made["normal"].std() < 1.2
    assert 80 < made["large"].std() < 120
    assert np.ptp(made["constant"], axis=(2, 3)).max() == 0
    assert len(np.unique(made["constant"])) == 6
