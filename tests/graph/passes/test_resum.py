"""Sums that a runtime takes in one run, parted: the same numbers, and float32 is enough."""

import numpy as np
import pytest

from simam_deploy.graph.passes.resum import resum
from tests.graph.onnx_text import model, ops, run

EQUAL = np.full((1, 2, 256, 384), 0.83, np.float32)
"""Every addition of equal numbers rounds the same way."""
AXES = np.array([2, 3])


def graph(body, opset=18, shape="1,2,256,384", out="a,b,c,d", **weights):
    return model(
        f"""<ir_version: 8, opset_import: ["" : {opset}]>
        g (float[{shape}] x) => (float[{out}] y) {{ {body} }}""",
        **weights,
    )


LONG = {
    "mean, axes as input": lambda: graph("y = ReduceMean(x, axes)", axes=AXES),
    "mean, axes as attribute": lambda: graph("y = ReduceMean<axes = [2, 3]>(x)", 17),
    "negative axes": lambda: graph("y = ReduceMean(x, axes)", axes=AXES - 4),
    "sum": lambda: graph("y = ReduceSum(x, axes)", axes=AXES),
    "no axes kept": lambda: graph("y = ReduceMean<keepdims = 0>(x, axes)", out="a,b", axes=AXES),
    "pool": lambda: graph("y = GlobalAveragePool(x)"),
    "free sizes": lambda: graph("y = ReduceMean(x, axes)", shape="n,2,h,w", axes=AXES),
    "flattened": lambda: graph(
        "f = Flatten<axis = 2>(x) y = ReduceMean(f, last)", out="a,b", last=np.array([1])
    ),
}


@pytest.mark.parametrize("kind", LONG)
def test_the_same_numbers_and_exact(kind):
    drawn = np.random.default_rng(0).standard_normal(EQUAL.shape).astype(np.float32)
    parted, count = resum(LONG[kind]())
    assert count == 1
    (before,), (after,) = run(LONG[kind](), x=drawn), run(parted, x=drawn)
    assert after.shape == before.shape
    np.testing.assert_allclose(after, before, atol=1e-3 * (98304 if kind == "sum" else 1))
    (y,) = run(parted, x=EQUAL)
    exact = np.float64(np.float32(0.83)) * (98304 if kind == "sum" else 1)
    assert np.abs(y / exact - 1).max() < 2e-6


def test_in_one_run_it_is_off():
    """Else the tests above would show nothing."""
    (y,) = run(LONG["mean, axes as input"](), x=EQUAL)
    assert np.abs(y / np.float64(np.float32(0.83)) - 1).max() > 5e-5


@pytest.mark.parametrize(
    "body",
    ["y = ReduceMean(x, channels)", "y = ReduceMax(x, axes)", "y = Relu(x)"],
)
def test_what_is_short_or_no_sum_is_left_alone(body):
    weights = {"channels": np.array([1]), "axes": AXES}
    given = graph(body, **{k: v for k, v in weights.items() if k in body})
    wanted = ops(given)
    parted, count = resum(given)
    assert (ops(parted), count) == (wanted, 0)


def test_our_own_two_steps_are_not_parted_again():
    given = graph("m = ReduceMean(x, w) y = ReduceMean(m, axes)", w=np.array([3]), axes=AXES)
    assert resum(given)[1] == 0
