"""Statistics of SimAM's gates in production."""

import asyncio

import numpy as np
import pytest

from simam_deploy.op.contract import simam_gate
from simam_deploy.serve.models.attention import Attention
from simam_deploy.serve.models.gates import GateWatch, gates_of
from tests.serve import graphs
from tests.serve.models.test_pictures import picture
from tests.serve.running import serving, until


def infer(running, scale=1.0):
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32) * scale
    body = (
        b'{"inputs": [{"name": "x", "shape": [2, 3, 8, 8], "datatype": "FP32", "data": %s}]}'
        % str(x.ravel().tolist()).encode()
    )
    assert running.request("POST", "/v2/models/attentive/infer", body)[0] == 200
    return x


def metrics(running):
    """The gates' metrics, by name and label."""
    text = running.request("GET", "/metrics")[1].decode()
    rows = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("simam_gate")]
    return {name: float(value) for name, value in rows}


def value(found, name):
    (known,) = (v for key, v in found.items() if key.startswith(f"simam_gate_{name}{{"))
    return known


@pytest.fixture
def watched(tmp_path):
    with serving({"attentive": graphs.attentive(tmp_path)}, gate_interval=1e-6) as running:
        yield running


def test_the_gates_of_every_row_are_summed_up(watched):
    x = infer(watched)
    until(lambda: value(metrics(watched), "samples_total") == 1)
    gates = simam_gate(x, 1e-4)
    found = metrics(watched)
    assert value(found, "mean") == pytest.approx(gates.mean(), rel=1e-5)
    assert value(found, "std") == pytest.approx(gates.std(), rel=1e-4)
    assert value(found, "closed_ratio") == pytest.approx((gates < 0.6235).mean(), abs=1e-3)
    (label,) = (key for key in found if key.startswith("simam_gate_mean"))
    assert 'model="attentive",site="' in label
    assert 'version="1"' in label


def test_an_input_that_grew_dark_is_seen(watched):
    """A thousandth of what was trained on: its variance is below lambda."""
    infer(watched)
    until(lambda: value(metrics(watched), "samples_total") == 1)
    lively = metrics(watched)
    infer(watched, scale=1e-3)
    until(lambda: value(metrics(watched), "samples_total") == 2)
    dark = metrics(watched)
    assert value(lively, "closed_ratio") < 0.1 < 0.65 < value(lively, "mean")
    assert value(dark, "closed_ratio") > 0.7
    assert value(dark, "mean") < 0.6235


def test_pictures_are_looked_at_too(watched):
    watched.request("POST", "/v2/models/attentive/classify", picture(3))
    until(lambda: value(metrics(watched), "samples_total") == 1)


def test_nothing_is_looked_at_unless_it_is_asked_for(tmp_path):
    with serving({"attentive": graphs.attentive(tmp_path)}) as running:
        infer(running)
        assert value(metrics(running), "samples_total") == 0
        assert running.server.repository.models["attentive"].attention._loaded is None


def test_a_model_without_simam_is_tried_once(tmp_path):
    attention = Attention(graphs.double(tmp_path))
    feeds = {"x": np.zeros((1, 3, 4), np.float32)}

    async def work():
        watch = GateWatch(attention, 1e-6)
        watch.offer(feeds)
        await watch._task
        done = watch._task
        watch.offer(feeds)
        return watch, done

    watch, done = asyncio.run(work())
    assert "no SimAM" in watch.note
    assert watch._task is done
    assert (watch.count, watch.sites) == (0, {})


def test_the_interval_is_kept(tmp_path):
    attention = Attention(graphs.attentive(tmp_path))
    feeds = {"x": np.ones((1, 3, 8, 8), np.float32)}
    now = [100.0]

    async def work():
        watch = GateWatch(attention, 10, clock=lambda: now[0])
        counts = []
        for at in (100, 101, 109.9, 110, 125, 126):
            now[0] = at
            watch.offer(feeds)
            await watch._task
            counts.append(watch.count)
        return counts

    assert asyncio.run(work()) == [1, 1, 1, 2, 3, 3]


def test_a_gate_that_tells_nothing_apart_is_closed():
    assert gates_of(simam_gate(np.ones((1, 1, 4, 4)), 1e-4)).closed == 1
    lively = gates_of(simam_gate(np.random.default_rng(0).standard_normal((4, 8, 16, 16)), 1e-4))
    assert lively.mean == pytest.approx(0.675, abs=0.01)
    assert 0.05 < lively.closed < 0.15  # those within an eighth of a deviation of the mean
