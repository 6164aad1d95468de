"""Of two runs at once one's files lie there; what is not ours stays; what the dead left goes."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from simam_deploy import InputError, export_onnx
from simam_deploy.core import staging
from simam_deploy.core.manifest import read_facts, write_manifest
from simam_deploy.core.staging import STAGING, held_folder, publish, staging_folder

ROUNDS = 40


def stage_one(target: Path, content: bytes, data: bool) -> None:
    """What an export does: a file, with or without external data, and the manifest of both."""
    with staging_folder(target) as stage:
        file = stage / target.name
        file.write_bytes(content)
        files = [file]
        if data:
            files.append(stage / f"{target.name}.data")
            files[1].write_bytes(content * 2)
        write_manifest(file, files, {})
        publish(stage, target)


def publish_often(target: Path, content: bytes, data: bool) -> None:
    for _ in range(ROUNDS):
        stage_one(target, content, data)


@pytest.mark.parametrize("data", [(False, False), (True, False), (True, True)])
def test_two_runs_at_once_never_mix(data, tmp_path):
    target = tmp_path / "m.onnx"
    context = multiprocessing.get_context("fork")
    runs = [
        context.Process(target=publish_often, args=(target, bytes([n]) * 9, data[n]))
        for n in (0, 1)
    ]
    for run in runs:
        run.start()
    coherent = 0
    while any(run.is_alive() for run in runs):
        with staging.alone_in(tmp_path):
            if target.exists():
                read_facts(target)  # holds every part against its hash
                coherent += 1
    for run in runs:
        run.join()
        assert run.exitcode == 0
    assert coherent
    assert read_facts(target)
    assert not list(tmp_path.glob(f"{STAGING}*"))


def test_what_moves_moves_under_the_folders_lock(tmp_path, monkeypatch):
    """The lock is what keeps two runs apart: nothing is moved while somebody else holds it."""
    held = []
    replace = Path.replace

    def watched(self, target):
        handle = os.open(tmp_path, os.O_RDONLY)
        try:
            staging.fcntl.flock(handle, staging.fcntl.LOCK_EX | staging.fcntl.LOCK_NB)
        except BlockingIOError:
            held.append(target.name)
        finally:
            os.close(handle)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    stage_one(tmp_path / "m.onnx", b"x", data=True)
    assert sorted(held) == ["m.json", "m.onnx", "m.onnx.data"]


def test_external_data_of_an_earlier_run_goes_with_it(tmp_path):
    target = tmp_path / "m.onnx"
    stage_one(target, b"a", data=True)
    stage_one(target, b"b", data=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.json", "m.onnx"]


@pytest.mark.parametrize("name", ["m.json", "m.onnx.data", "m.failed.json"])
@pytest.mark.parametrize("content", ["{}", '{"name": "mine"}', '{"schema": "draft-07"}', "text"])
def test_what_is_not_ours_is_not_overwritten(name, content, digits, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=f"{name} would be overwritten"):
        export_onnx(digits, tmp_path / "m.onnx")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {name: content}


def test_what_is_ours_is_replaced(digits, tmp_path):
    for _ in range(2):
        export_onnx(digits, tmp_path / "m.onnx")
    assert read_facts(tmp_path / "m.onnx")["kind"] == "onnx"


def test_a_new_folder_is_made_and_goes_again_after_a_failure(digits, tmp_path):
    artifact = export_onnx(digits, f"{tmp_path}/new/er/")
    assert artifact.path == tmp_path / "new" / "er" / "model_best.onnx"
    (tmp_path / "broken.pth").write_bytes(b"no checkpoint")
    with pytest.raises(InputError):
        export_onnx(tmp_path / "broken.pth", f"{tmp_path}/other/")
    assert not (tmp_path / "other").exists()


def die_while_staging(target: Path) -> None:
    with staging_folder(target) as stage:
        (stage / "half").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_run_left_is_swept_and_a_living_ones_is_not(tmp_path):
    run = multiprocessing.get_context("fork").Process(
        target=die_while_staging, args=(tmp_path / "m.onnx",)
    )
    run.start()
    run.join()
    (left,) = tmp_path.glob(f"{STAGING}*")
    with held_folder(tmp_path) as living:
        assert not left.exists()
        stage_one(tmp_path / "m.onnx", b"x", data=False)
        assert living.exists()


def test_the_report_of_a_failure_goes_with_the_next_success(digits, tmp_path):
    report = {"passed": False, "rule": "", "results": []}
    (tmp_path / "m.failed.json").write_text(json.dumps(report))
    export_onnx(digits, tmp_path / "m.onnx")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.json", "m.onnx"]


def test_what_is_staged_may_stage_its_own_parts(tmp_path):
    """As a build does that exports first; it once waited for the lock that it held itself."""

    def too_late(*_):
        raise TimeoutError("waits for its own lock")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(30)
    try:
        with staging_folder(tmp_path / "m.engine") as stage:
            stage_one(stage / "m.onnx", b"x", data=False)
            assert sorted(p.name for p in stage.iterdir()) == ["m.json", "m.onnx"]
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert not any(tmp_path.iterdir())
