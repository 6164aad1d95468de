"""An engine's profiles bound batches and shapes; here ONNX Runtime stands behind them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.serve.models import model
from simam_deploy.serve.protocol.profiles import most_rows
from tests.serve import graphs
from tests.serve.running import serving
from tests.serve.test_lifecycle import body_of


@dataclass(frozen=True)
class Range:
    name: str
    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]


SMALL = (Range("x", (1, 1, 4, 4), (2, 1, 8, 8), (4, 1, 16, 16)),)
LARGE = (Range("x", (1, 1, 32, 32), (1, 1, 32, 32), (2, 1, 64, 64)),)


class Engine(OnnxRunner):
    """Takes what its profiles take, and notes it."""

    profiles = (SMALL, LARGE)
    shapes: ClassVar[list[tuple[int, ...]]] = []

    def run(self, feeds):
        shape = feeds["x"].shape
        self.shapes.append(shape)
        assert any(
            all(a <= n <= b for a, n, b in zip(r.min, shape, r.max, strict=True))
            for (r,) in self.profiles
        ), shape
        return super().run(feeds)


@pytest.fixture
def engine(monkeypatch, tmp_path):
    monkeypatch.setattr(model, "open_runners", lambda path, settings, read: [Engine(path)])
    Engine.shapes.clear()
    with serving({"free": graphs.free_size(tmp_path)}, max_batch_size=8) as running:
        yield running


def ask(running, *shape):
    body = body_of(np.ones(shape, np.float32))
    return running.request("POST", "/v2/models/free/infer", body)[:2]


def test_the_warm_up_runs_at_the_tuned_size_and_within_the_largest_batch(engine):
    assert set(Engine.shapes) == {(4, 1, 8, 8), (1, 1, 8, 8)}
    config = engine.request("GET", "/v2/models/free/config")[1]
    assert config["max_batch_size"] == 4


def test_a_shape_that_no_profile_takes_is_told_what_they_take(engine):
    assert ask(engine, 1, 1, 16, 16)[0] == 200
    assert ask(engine, 2, 1, 64, 64)[0] == 200
    for shape in ((1, 1, 20, 20), (3, 1, 64, 64), (1, 1, 2, 2)):
        status, said = ask(engine, *shape)
        assert status == 400
        assert "x 1x1x4x4 to 4x1x16x16; x 1x1x32x32 to 2x1x64x64" in said["error"]


def test_the_largest_batch():
    assert most_rows((), 8) == 8
    assert most_rows((SMALL,), 8) == 4
    assert most_rows((SMALL, LARGE), 8) == 4
    assert most_rows((SMALL,), 2) == 2
