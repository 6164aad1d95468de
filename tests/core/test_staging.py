import contextlib
import errno
import multiprocessing
import os
import re
import signal
import threading
from pathlib import Path

import pytest

from simam_deploy.core import staging
from simam_deploy.core.manifest import find_manifest, manifest_path, read_facts, write_manifest
from simam_deploy.core.staging import (
    STAGING,
    explained,
    held_folder,
    publish,
    publish_folder,
    staging_folder,
)
from simam_deploy.errors import InputError


def test_files_appear_together_and_the_folder_goes(tmp_path):
    target = tmp_path / "new" / "m.onnx"
    with staging_folder(target) as stage:
        for name in ("m.onnx", "m.json", "m.onnx.data"):
            (stage / name).write_text(name)
        assert not target.exists()
        assert publish(stage, target)[-1] == target
    assert {p.name for p in target.parent.iterdir()} == {"m.onnx", "m.json", "m.onnx.data"}


def test_a_folder_appears_whole(tmp_path):
    target = tmp_path / "new" / "m"
    with staging_folder(target) as stage:
        (stage / "m" / "1").mkdir(parents=True)
        (stage / "m" / "1" / "f").write_text("f")
        assert publish_folder(stage / "m", target) == target
    assert (target / "1" / "f").read_text() == "f"
    assert [p.name for p in target.parent.iterdir()] == ["m"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_after_a_failure(tmp_path, error):
    target = tmp_path / "a" / "b" / "m.onnx"
    with pytest.raises(error), staging_folder(target) as stage:
        (stage / "m.onnx").write_text("half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_survives_a_failure(tmp_path):
    target = tmp_path / "m.onnx"
    target.write_text("before")
    with pytest.raises(ValueError), staging_folder(target) as stage:
        (stage / "m.onnx").write_text("half")
        raise ValueError
    assert [p.read_text() for p in tmp_path.iterdir()] == ["before"]


def test_a_folder_under_the_files_name_is_one_clear_line(tmp_path):
    target = tmp_path / "m.onnx"
    target.mkdir()
    with pytest.raises(InputError, match="it is a directory"), staging_folder(target):
        pass


def test_a_parent_that_is_a_file_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "m.onnx"
    with pytest.raises(InputError, match=r"cannot write .*m\.onnx"), staging_folder(target):
        pass


def test_the_systems_words_are_passed_on():
    words = "cannot write m.onnx: No space left on device"
    with pytest.raises(InputError, match=words), explained(Path("m.onnx")):
        raise OSError(28, "No space left on device")


PAIR = {"m.onnx": ("m.onnx", "m.json", "m.onnx.data"),
        "m.engine": ("m.engine", "m.engine.json", "m.engine.log")}  # fmt: skip


def stage_run(stage, target, run):
    """Stage what a run makes: the artifact, its manifest, and a third file of the run's own."""
    files = [stage / name for name in PAIR[target.name] if not name.endswith(".json")]
    for file in files:
        file.write_text(run)
    write_manifest(stage / target.name, files, {"arch": run})


def is_coherent(target):
    """Hold every file that lies there against the manifest's hashes."""
    document = find_manifest(target)
    assert document is not None
    there = {p.name for p in target.parent.iterdir()} - {manifest_path(target).name}
    assert there == set(PAIR[target.name]) - {manifest_path(target).name}
    return all(target.with_name(name).read_text() == document["arch"] for name in there)


def publish_interleaved(target, monkeypatch, patience):
    """Publish two runs at once; the first, after its first move, waits for all of the second.

    With the lock, the second cannot end before the first does: then all `patience` is waited.
    """
    moved, second_done = threading.Event(), threading.Event()
    replace = Path.replace

    def slow_replace(path, to):
        done = replace(path, to)
        if threading.current_thread().name == "first" and not moved.is_set():
            moved.set()
            second_done.wait(patience)
        return done

    def run(name):
        with staging_folder(target) as stage:
            stage_run(stage, target, name)
            if name == "second":
                assert moved.wait(10)
            publish(stage, target)
        if name == "second":
            second_done.set()

    monkeypatch.setattr(Path, "replace", slow_replace)
    threads = [threading.Thread(target=run, args=(n,), name=n) for n in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)


@pytest.mark.parametrize("name", PAIR)
def test_two_runs_at_once_never_mix(name, tmp_path, monkeypatch):
    publish_interleaved(tmp_path / name, monkeypatch, 0.3)
    assert is_coherent(tmp_path / name)


@pytest.mark.parametrize("name", PAIR)
def test_without_the_lock_they_do(name, tmp_path, monkeypatch):
    """So what the test above relies on is the lock."""
    monkeypatch.setattr(staging, "alone_in", lambda folder: contextlib.nullcontext())
    publish_interleaved(tmp_path / name, monkeypatch, 10)
    assert not is_coherent(tmp_path / name)


def test_all_that_is_published_goes_through_here():
    """One lock and one move: nobody else moves files to their place, or locks."""
    moves = re.compile(r"\.rename\(|os\.replace|os\.rename|shutil\.move|flock|mkdtemp")
    package = Path(staging.__file__).parents[1]
    found = {p.name for p in package.rglob("*.py") if moves.search(p.read_text())}
    assert found == {"staging.py"}


def test_a_link_under_such_a_name_is_left(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").write_text("dear")
    (tmp_path / f"{STAGING}x").symlink_to(tmp_path / "theirs")
    with staging_folder(tmp_path / "m.onnx"):
        pass
    assert (tmp_path / "theirs" / "file").read_text() == "dear"


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    """There, the folders of the dead cannot be told and stay; one run at a time works."""

    def refuse(handle, how):
        raise OSError(errno.ENOLCK, "No locks available")

    dead = tmp_path / f"{STAGING}dead"
    dead.mkdir()
    monkeypatch.setattr(staging.fcntl, "flock", refuse)
    with staging_folder(tmp_path / "m.onnx") as stage:
        stage_run(stage, tmp_path / "m.onnx", "one")
        publish(stage, tmp_path / "m.onnx")
    dead.rmdir()
    assert is_coherent(tmp_path / "m.onnx")


def test_a_folder_that_came_meanwhile_is_not_replaced(tmp_path):
    with staging_folder(tmp_path / "m") as stage:
        (stage / "m").mkdir()
        (tmp_path / "m").mkdir()
        with pytest.raises(InputError, match="is there already"):
            publish_folder(stage / "m", tmp_path / "m")


def test_a_file_that_came_meanwhile_is_not_replaced(tmp_path):
    with staging_folder(tmp_path / "m.onnx") as stage:
        stage_run(stage, tmp_path / "m.onnx", "one")
        (tmp_path / "m.json").write_text('{"theirs": 1}')
        with pytest.raises(InputError, match=r"m\.json would be overwritten"):
            publish(stage, tmp_path / "m.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]


FORK = multiprocessing.get_context("fork")


def publish_often(target, run, data):
    """What an export does, forty times: a file, with or without external data, and its manifest."""
    for _ in range(40):
        with staging_folder(target) as stage:
            files = [stage / target.name, stage / f"{target.name}.data"][: 1 + data]
            for file in files:
                file.write_text(run)
            write_manifest(files[0], files, {"arch": run})
            publish(stage, target)


@pytest.mark.parametrize("data", [(False, False), (True, False), (True, True)])
def test_two_processes_at_once_never_mix_nor_refuse_each_others_files(data, tmp_path):
    target = tmp_path / "m.onnx"
    publish_often(target, "first", True)
    runs = [FORK.Process(target=publish_often, args=(target, str(n), data[n])) for n in (0, 1)]
    for run in runs:
        run.start()
    while True:
        alive = any(run.is_alive() for run in runs)
        with staging.alone_in(tmp_path):
            read_facts(target)  # holds every part against its hash
        if not alive:
            break
    assert [run.exitcode for run in runs] == [0, 0]
    assert not list(tmp_path.glob(f"{STAGING}*"))


def die_while_staging(target):
    with staging_folder(target) as stage:
        (stage / "half").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_run_left_is_swept_and_a_living_ones_is_not(tmp_path):
    run = FORK.Process(target=die_while_staging, args=(tmp_path / "m.onnx",))
    run.start()
    run.join()
    (left,) = tmp_path.glob(f"{STAGING}*")
    with held_folder(tmp_path) as living:
        assert not left.exists()
        publish_often(tmp_path / "m.onnx", "run", False)
        assert living.exists()


def test_what_is_staged_may_stage_its_own_parts(tmp_path):
    """As a build does that exports first; it once waited for the lock that it held itself."""

    def too_late(*_):
        raise TimeoutError("waits for its own lock")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(30)
    try:
        with staging_folder(tmp_path / "m.engine") as stage:
            publish_often(stage / "m.onnx", "run", False)
            assert sorted(p.name for p in stage.iterdir()) == ["m.json", "m.onnx"]
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert not any(tmp_path.iterdir())
