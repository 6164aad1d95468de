"""Faults between what a bound allows and twice that: a bound that is let out lets them pass."""

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.verify.accuracy import AGREEMENT, measure_accuracy
from simam_deploy.verify.gates import check_gates
from simam_deploy.verify.rule import rule_for
from tests.precision.half.graphs import FP16, planes
from tests.verify.test_accuracy import Table, batches, one_hot
from tests.verify.test_gates import converted, in_float32, sample
from tests.verify.test_outputs import Scaled, check

FLOAT = ir.DataType.FLOAT


@pytest.mark.parametrize(("off", "passes"), [(0.14, True), (0.16, False)])
def test_an_int8_output_may_change_by_15_percent(off, passes):
    rule = rule_for("fp32", "int8")
    assert check(Scaled(2.0 * (1 + off)), rule=rule).passed is passes


@pytest.mark.parametrize("dtype", [FP16, FLOAT], ids=["float16", "float32"])
def test_a_lambda_one_percent_off(dtype):
    """On planes of deviation 30 it moves no gate, and is wrong on others all the same."""
    samples = [replace(each, e_lambda=1.01e-4) for each in sample(planes("std 30", 28, 28))]
    candidate = converted(28, 28, FP16) if dtype == FP16 else in_float32(28, 28)
    (found,) = check_gates(samples, candidate, dtype)
    assert not found.passed
    assert found.error_ulps <= found.allowed_ulps
    assert "0.000101" in found.reason


def test_float32_gates_that_are_off_by_two_millionths():
    """Planes about zero allow some 8 units of 1.2e-7.

    Lambda is off by 9e-6 of itself, which counts as the same. Where a plane's variance is a tenth
    of lambda, and a pixel lies so far out that d^2 / 4(v + lambda) is 1.3, that moves the gate by
    0.2 * 0.9 * 9e-6 of itself, 14 units.
    """
    x = np.zeros((1, 4, 28, 28), np.float32)
    x[..., 14, :13] = 0.024
    (found,) = check_gates(sample(x), in_float32(28, 28, e_lambda=1e-4 * (1 + 9e-6)), FLOAT)
    assert not found.passed
    assert found.reason == ""
    assert found.error_ulps < 16


def test_int8_may_rank_two_samples_of_a_hundred_otherwise():
    """Of 100, three are too many."""
    right = one_hot(*[0] * 100)
    for flipped, passes in ((2, True), (3, False)):
        candidate = Table([*one_hot(*[1] * flipped), *right[flipped:]])
        found = measure_accuracy(Table(right), candidate, batches(100, 32), AGREEMENT["int8"])
        assert found.passed is passes
