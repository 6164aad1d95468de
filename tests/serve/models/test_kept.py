"""A second start takes what the first found out, where it may be believed, and serves the same."""

import json
import os
import stat
import time

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from simam_deploy.core.manifest import write_manifest
from simam_deploy.engine.plan.cache_guard import OLDEST, kept_folder
from simam_deploy.errors import InputError
from simam_deploy.op.find import find_operators
from simam_deploy.runtime import blocked
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.serve.models import kept, model
from simam_deploy.serve.settings import Settings

X = np.random.default_rng(1).standard_normal((3, 8, 9, 9)).astype(np.float32)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own, which keeps small models too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(kept, "WORTH", 1)
    return kept_folder("sessions")


def network(folder, seed=0, mixed=False):
    """A convolution, which ONNX Runtime lays out for the machine; its rows apart, or mixed."""
    rng = np.random.default_rng(seed)
    mix = "m = ReduceMean(c, axes) y = Sub(c, m)" if mixed else "y = Relu(c)"
    proto = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["": 18]>
        g (float[n, 8, 9, 9] x) => (float[n, 16, 9, 9] y) <int64[1] axes = {{0}}>
        {{ c = Conv<pads = [1, 1, 1, 1]>(x, w) {mix} }}"""
    )
    weights = rng.standard_normal((16, 8, 3, 3)).astype(np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    onnx.save(proto, folder / "m.onnx")
    return folder / "m.onnx"


@pytest.fixture
def runs(monkeypatch):
    """How often each start warmed up."""
    counted, real = [], model.warm_up
    monkeypatch.setattr(model, "warm_up", lambda *given: counted.append(given) or real(*given))
    return counted


def started(path, **settings):
    """What a start answers, whether its requests share batches, and what it notes."""
    served = model.load_model("m", path, "1", Settings(**settings))
    try:
        names = [spec.name for spec in served.batcher._runners[0].outputs]
        answers = [runner.run({"x": X})[names[0]] for runner in served.batcher._runners]
        return answers, served.batcher.limits.max_batch, served.note
    finally:
        served.close()


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("instances", [1, 2])
def test_a_second_start_serves_the_same_bits(mixed, instances, runs, cache, tmp_path):
    path = network(tmp_path, mixed=mixed)
    (expected, *_), first, _ = started(path, instances=instances)
    again, second, note = started(path, instances=instances)
    assert len(runs) == instances  # those of the first start
    assert len(again) == instances
    assert all(np.array_equal(one, expected) for one in again)
    assert first == second == (None if mixed else 8)
    assert note == ""
    (entry,) = cache.iterdir()
    assert {p.name for p in entry.iterdir()} == {"graph.onnx", "graph.weights", "facts.json"}
    assert all(stat.S_IMODE(p.lstat().st_mode) & 0o077 == 0 for p in (entry, *entry.iterdir()))


def with_simam(folder):
    """Two convolutions with a SimAM between them."""
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["": 18, "simam" : 1]>
        g (float[n, 8, 9, 9] x) => (float[n, 16, 9, 9] y) { c = Conv<pads = [1, 1, 1, 1]>(x, w)
        s = simam.SimAM<e_lambda = 0.1>(c) d = Conv(s, v) y = Relu(d) }"""
    )
    rng = np.random.default_rng(0)
    for name, shape in {"w": (16, 8, 3, 3), "v": (16, 16, 1, 1)}.items():
        weights = rng.standard_normal(shape).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(weights, name))
    path = folder / "m.onnx"
    onnx.save(proto, path)
    return path


@pytest.mark.skipif(find_operators() is None, reason="no operators for ONNX Runtime are built")
@pytest.mark.parametrize("proved", [True, False])
def test_simam_in_blocks_is_kept_where_it_is_proved(proved, runs, cache, monkeypatch, tmp_path):
    path = with_simam(tmp_path)
    monkeypatch.setenv("SIMAM_ONNXRUNTIME", str(find_operators()))
    if not proved:
        monkeypatch.setattr(blocked, "_NEAR", -1.0)
    (first,), rows, _ = started(path)
    (second,), _, _ = started(path)
    assert np.array_equal(first, second)
    assert (rows, len(runs)) == (8, 1)
    (entry,) = cache.iterdir()
    domains = {n.domain for n in onnx.load(entry / "graph.onnx").graph.node}
    assert ("simam.nchwc" in domains, "simam" in domains) == (proved, not proved)
    with OnnxRunner(path) as runner:
        expected = runner.run({"x": X})["y"]
    assert np.abs(first - expected).max() <= 2e-6 * np.abs(expected).max()


def test_another_file_of_the_name_is_another_entry(runs, tmp_path):
    started(network(tmp_path))
    (answer,), _, _ = started(network(tmp_path, seed=1))
    assert len(runs) == 2
    (expected,), _, _ = started(network(tmp_path, seed=1))
    assert np.array_equal(answer, expected)
    assert len(runs) == 2


def test_the_manifests_hash_is_the_keys(runs, cache, tmp_path):
    path = network(tmp_path)
    started(path)
    write_manifest(path, [path], {})
    started(path)
    assert len(runs) == 1
    assert len(list(cache.iterdir())) == 1
    path = network(tmp_path, seed=1)
    write_manifest(path, [path], {})
    started(path)
    assert len(runs) == 2


@pytest.mark.parametrize(
    "changed",
    [
        ("_cpu", lambda: ["another processor"]),
        ("__version__", "another version"),
    ],
)
def test_another_machine_or_version_is_another_entry(changed, runs, monkeypatch, tmp_path):
    path = network(tmp_path)
    started(path)
    monkeypatch.setattr(kept, *changed)
    started(path)
    assert len(runs) == 2
    started(path)
    assert len(runs) == 2


def test_another_batch_is_another_entry(runs, tmp_path):
    path = network(tmp_path)
    started(path)
    assert started(path, max_batch_size=4)[1] == 4
    assert len(runs) == 2


def poisoned(entry, folder):
    """Another network's entry in the place of this one's, whole in itself."""
    other = folder / "other"
    other.mkdir()
    content = network(other, seed=7).read_bytes()
    (entry / "graph.onnx").write_bytes(content)
    facts = {"sha256": kept._written(entry / "graph.onnx"), "keeps_rows_apart": True}
    (entry / "facts.json").write_text(json.dumps(facts))


def open_to_all(path):
    path.chmod(0o777)


def given_away(path):
    if os.geteuid():
        pytest.skip("only root gives a file away")
    os.lchown(path, 12345, 12345)


def linked(path):
    path.rename(path.with_name("aside"))
    path.symlink_to(path.with_name("aside"))


FILES = ["graph.onnx", "graph.weights", "facts.json"]


@pytest.mark.parametrize("part", ["simam-deploy", "sessions", "entry", *FILES])
@pytest.mark.parametrize("how", [open_to_all, given_away, linked])
def test_what_somebody_else_could_have_written_is_not_believed(how, part, runs, cache, tmp_path):
    path = network(tmp_path)
    (expected,), _, _ = started(path)
    (entry,) = cache.iterdir()
    poisoned(entry, tmp_path)
    places = {"simam-deploy": cache.parent, "sessions": cache, "entry": entry}
    how(places.get(part, entry / part))
    (answer,), rows, note = started(path)
    assert np.array_equal(answer, expected)
    assert rows == 8
    assert len(runs) == 2
    assert note.startswith("started without what is kept of it: ")
    assert "remove it" in note


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]", b"null", b"\xff" * 100])
def test_what_is_not_whole_is_made_anew(name, content, runs, cache, tmp_path):
    path = network(tmp_path)
    (expected,), _, _ = started(path)
    (entry,) = cache.iterdir()
    (entry / name).unlink() if content is None else (entry / name).write_bytes(content)
    (answer,), _, note = started(path)
    assert np.array_equal(answer, expected)
    assert (len(runs), note) == (2, "")
    started(path)
    assert len(runs) == 2


def test_a_cache_that_takes_nothing_keeps_nobody_from_starting(runs, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert started(network(tmp_path))[2] == ""
    assert len(runs) == 1


def test_a_graph_that_cannot_be_written_keeps_nobody_from_starting(
    runs, cache, monkeypatch, tmp_path
):
    real = model.open_runners

    def full(path, settings, read):
        assert read.write is not None
        read.write.mkdir()  # nothing can be written there
        return real(path, settings, read)

    monkeypatch.setattr(model, "open_runners", full)
    started(network(tmp_path))
    assert len(runs) == 1
    assert list(cache.iterdir()) == []


def test_a_file_that_does_not_run_is_not_kept(cache, tmp_path, monkeypatch):
    def fail(*given):
        raise InputError("it does not run")

    monkeypatch.setattr(model, "warm_up", fail)
    with pytest.raises(InputError, match="it does not run"):
        started(network(tmp_path))
    assert list(cache.iterdir()) == []


def test_room_is_made_by_the_rule_of_plans(cache, tmp_path):
    started(network(tmp_path))
    (entry,) = cache.iterdir()
    stale = cache / ("0" * 64)
    entry.rename(stale)
    long_ago = time.time() - OLDEST - 1
    os.utime(stale, (long_ago, long_ago))
    started(network(tmp_path))
    assert list(cache.iterdir()) == [entry]


def test_small_models_are_not_kept(cache, monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    started(network(tmp_path))
    assert not cache.exists()
