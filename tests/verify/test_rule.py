"""One rule for a candidate against a reference, whoever asks."""

import re
from pathlib import Path

import pytest

from simam_deploy.core.specs import PRECISIONS
from simam_deploy.errors import InputError
from simam_deploy.graph.types import EPSILON, FLOAT_TYPES
from simam_deploy.verify.rule import rule_for
from simam_deploy.verify.tolerance import ROUNDED_LAYERS

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_has_a_rule_for_staying_in_it_and_for_coming_from_float32(precision):
    kept, made = rule_for(precision, precision), rule_for("fp32", precision)
    assert kept.precision == made.precision == precision
    assert 0 < kept.tolerance.floor <= kept.tolerance.cap <= made.tolerance.cap
    assert (kept == made) == (precision == "fp32")
    assert (made.tolerance.unit == ROUNDED_LAYERS) == (precision in ("fp16", "bf16"))


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8"])
def test_a_float_floor_is_four_units_in_the_last_place(precision):
    unit = 2.0**-8 if precision == "int8" else EPSILON[FLOAT_TYPES[precision]]
    assert 3.8 * unit < rule_for(precision, precision).tolerance.floor < 4.2 * unit


@pytest.mark.parametrize(
    ("reference", "candidate", "large"),
    [
        ("fp32", "fp32", True),
        ("fp16", "fp16", False),  # it may overflow
        ("bf16", "bf16", False),
        ("int8", "int8", True),  # both clip alike
        ("fp8", "fp8", True),
        ("fp32", "fp16", False),
        ("fp32", "bf16", False),
        ("fp32", "fp8", False),
        ("fp32", "int8", False),  # which clips what its calibration never saw
    ],
)
def test_large_inputs_are_spared_where_a_right_model_fails_on_them(reference, candidate, large):
    cases = rule_for(reference, candidate).cases([((1, 3, 4, 4),), ((3, 3, 4, 4),)])
    kinds = {"normal", "picture", "constant", "blank", *(["large"] if large else [])}
    assert {kind for case in cases for kind in case.kinds} == kinds


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [("fp16", "fp32"), ("int8", "fp16"), ("fp16", "int8"), ("fp4", "fp4")],
)
def test_other_pairs_have_none(reference, candidate):
    with pytest.raises(
        InputError, match=f"in {candidate} cannot be held against one in {reference}"
    ):
        rule_for(reference, candidate)


def naming(words):
    pattern = re.compile(rf"\b({words})\b")
    package = (ROOT / "simam_deploy").rglob("*.py")
    return {file.name for file in package if pattern.search(file.read_text())}


def test_nobody_else_chooses_bounds():
    """The tables are read by the rule alone."""
    assert naming("TOLERANCES|CONVERTED") == {"rule.py", "tolerance.py"}


def test_who_draws_inputs():
    """The rule, to judge; others what is timed, calibrated on or looked at, and judge nothing."""
    judging, others = {"rule.py", "cases.py"}, {"bench_precisions.py", "inputs.py", "gates_of.py"}
    assert naming("drawn_cases") == judging | others
