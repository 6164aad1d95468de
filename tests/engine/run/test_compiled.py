"""What TensorRT-RTX compiled when it ran, kept for the next start."""

import json
import logging

import numpy as np
import pytest

from simam_deploy.engine.run import compiled
from simam_deploy.engine.run.runner import TensorRTRunner

IO = {"input": "x", "output": "y", "type": "FLOAT", "shape": [2, 4], "gives": [2, 4]}


@pytest.fixture
def plan(rtx, tmp_path):
    """A plan without a manifest, which is why it is opened on trust."""
    path = tmp_path / "m.engine"
    path.write_bytes(b"vtrt" + json.dumps({"profiles": [], "io": IO}).encode())
    return path


@pytest.fixture
def kept(cache):
    """The folder of what is kept, as it is found."""
    return lambda: sorted((cache.parent / "kernels").glob("[0-9a-f]*/*"))


def compiled_by_a_start(plan):
    with TensorRTRunner(plan, trust=True, cuda_graph=False) as runner:
        x = np.arange(8, dtype=np.float32).reshape(2, 4)
        np.testing.assert_array_equal(runner.run({"x": x})["y"], 2 * x)
        return runner._engine._engine._compiled


def test_a_second_start_compiles_nothing(plan, kept):
    assert compiled_by_a_start(plan) == [(2, 4)]
    assert [path.name for path in kept()] == ["kernels.bin"]
    assert kept()[0].stat().st_mode & 0o777 == 0o600
    assert compiled_by_a_start(plan) == []


@pytest.mark.parametrize("change", ["plan", "gpu"])
def test_another_plan_or_gpu_has_kernels_of_its_own(change, plan, kept, monkeypatch):
    compiled_by_a_start(plan)
    if change == "plan":
        plan.write_bytes(plan.read_bytes() + b" ")
    else:
        monkeypatch.setenv("FAKE_SM", "120")
    assert compiled_by_a_start(plan) == [(2, 4)]
    assert len(kept()) == 2


def test_what_the_library_does_not_take_is_compiled_anew(plan, kept):
    compiled_by_a_start(plan)
    kept()[0].write_bytes(b"torn")
    assert compiled_by_a_start(plan) == [(2, 4)]
    assert compiled_by_a_start(plan) == []


def test_what_others_can_write_is_neither_believed_nor_written(plan, kept, caplog):
    compiled_by_a_start(plan)
    (file,) = kept()
    file.chmod(0o666)
    before = file.read_bytes()
    with caplog.at_level(logging.WARNING):
        assert compiled_by_a_start(plan) == [(2, 4)]
    assert "compiled anew and not kept: others can write to" in caplog.text
    assert file.read_bytes() == before


def test_a_home_that_takes_nothing_fails_no_start(plan, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert compiled_by_a_start(plan) == [(2, 4)]


def test_room_is_made(plan, kept, monkeypatch):
    monkeypatch.setattr(compiled, "LARGEST", 1)
    compiled_by_a_start(plan)
    plan.write_bytes(plan.read_bytes() + b" ")
    compiled_by_a_start(plan)
    assert len(kept()) == 1


def test_tensorrt_compiles_when_it_builds_and_keeps_nothing_here(gpu, tmp_path, kept):
    plan = tmp_path / "m.engine"
    plan.write_bytes(b"ftrt" + json.dumps({"profiles": [], "io": IO}).encode())
    assert compiled_by_a_start(plan) == []
    assert kept() == []
