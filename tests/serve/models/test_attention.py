"""The session behind the heatmaps is opened late, and never after the model was closed."""

import io
import threading

import numpy as np
import pytest
from PIL import Image

from simam_deploy.runtime import graph_runner, onnx_runner
from simam_deploy.serve.models.attention import Attention
from simam_deploy.serve.protocol.refusals import Unsupported
from tests.serve import graphs
from tests.serve.running import PATIENCE, serving, until

FEEDS = {"x": np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)}


class Sessions:
    """What was opened and closed of ONNX Runtime."""

    def __init__(self, monkeypatch):
        self.events = []
        self.run = threading.Event()
        self.run.set()
        runner, sessions = onnx_runner.OnnxRunner, self

        class Noted(runner):
            def __init__(self, *args, **named):
                super().__init__(*args, **named)
                sessions.events.append("opened")

            def run(self, feeds):
                sessions.events.append("computing")
                assert sessions.run.wait(PATIENCE)
                return super().run(feeds)

            def close(self):
                sessions.events.append("closed")
                super().close()

        for module in (onnx_runner, graph_runner):
            monkeypatch.setattr(module, "OnnxRunner", Noted)


@pytest.fixture
def sessions(monkeypatch):
    return Sessions(monkeypatch)


@pytest.mark.parametrize("asked_before", [False, True])
def test_nothing_is_opened_after_close(asked_before, sessions, tmp_path):
    attention = Attention(graphs.attentive(tmp_path))
    if asked_before:
        assert len(attention.heatmaps(FEEDS)) == 1
    attention.close()
    with pytest.raises(Unsupported, match="the model was unloaded or loaded anew meanwhile"):
        attention.heatmaps(FEEDS)
    attention.close()
    assert sessions.events == ["opened", "computing", "closed"] * asked_before


def test_close_waits_for_the_maps_under_way(sessions, tmp_path):
    attention = Attention(graphs.attentive(tmp_path))
    maps = []
    sessions.run.clear()
    asking = threading.Thread(target=lambda: maps.append(attention.heatmaps(FEEDS)))
    asking.start()
    until(lambda: "computing" in sessions.events)
    closing = threading.Thread(target=attention.close)
    closing.start()
    assert "closed" not in sessions.events
    sessions.run.set()
    asking.join(PATIENCE)
    closing.join(PATIENCE)
    assert len(maps) == 1
    assert sessions.events == ["opened", "computing", "closed"]


def classify(running):
    content = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(content, "PNG")
    path = "/v2/models/attentive/classify?attention=1"
    return running.request("POST", path, content.getvalue())[:2]


@pytest.mark.parametrize("change", ["unload", "load"])
def test_a_model_that_goes_away_before_its_maps_are_asked_for(
    change, sessions, monkeypatch, tmp_path
):
    """The classes are there when the model is closed; the maps are not, and a note says why."""
    heatmaps = Attention.heatmaps

    def late(attention, feeds):
        path = f"/v2/repository/models/attentive/{change}"
        assert running.request("POST", path)[0] == 200
        return heatmaps(attention, feeds)

    with serving({"attentive": graphs.attentive(tmp_path)}) as running:
        assert len(classify(running)[1]["attention"]) == 1
        monkeypatch.setattr(Attention, "heatmaps", late)
        status, said = classify(running)
    assert status == 200
    assert len(said["classes"]) == 3
    assert said["attention"] == []
    assert "meanwhile" in said["attention_note"]
    assert sessions.events.count("opened") == sessions.events.count("closed")


def test_maps_are_of_the_file_that_is_served(sessions, tmp_path):
    """The file was replaced and not loaded yet: its maps would be another network's."""
    path = graphs.attentive(tmp_path)
    with serving({"attentive": path}) as running:
        graphs.double(tmp_path).replace(path)
        status, said = classify(running)
    assert (status, said["attention"]) == (200, [])
    assert "attentive.onnx is another file than the one that is served" in said["attention_note"]
