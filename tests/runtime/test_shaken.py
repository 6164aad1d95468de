"""The noise that stands for rounding: it is there, of the size that it claims, and always alike."""

import numpy as np
import pytest

from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.runtime.shaken import Shaken
from tests.engine.conftest import write_onnx

NOISE = 2.0**-10
X = np.full((2, 4, 8, 8), 3, np.float32)


@pytest.fixture
def file(tmp_path):
    """A graph that gives its input back."""
    return write_onnx(tmp_path / "m.onnx", "y = Identity(x)")


def shaken(file, x=X):
    with Shaken(OnnxRunner(file), NOISE) as runner:
        return runner.run({"x": x})["y"]


def test_the_noise_is_even_up_to_its_bound(file):
    off = (shaken(file) / X - 1) / NOISE
    assert abs(off).max() < 1.001
    for low in (-1, -0.5, 0, 0.5):  # 512 draws: a quarter each, give or take 20
        assert 0.15 < np.mean((off > low) & (off < low + 0.5)) < 0.35


def test_all_runs_see_the_same_noise(file):
    assert np.array_equal(shaken(file), shaken(file))
    assert (X == 3).all(), "the given array is left alone"


def test_integers_are_left_alone(tmp_path):
    file = write_onnx(tmp_path / "m.onnx", "y = Cast<to = 1>(x)", inputs="int64[n,4,8,8] x")
    assert np.array_equal(shaken(file, X.astype(np.int64)), X)
