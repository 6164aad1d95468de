"""`simam build` in a shell: interrupted, two at once, a full disk, and what a shell sees."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from simam_deploy.cli.build import main
from simam_deploy.core.files import sha256_of
from tests.engine.conftest import write_onnx

pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'"
)


@pytest.fixture
def start(launch):
    def start(source, output, *options, **settings):
        command = [sys.executable, "-m", "simam_deploy", "build", str(source), "-o", str(output)]
        return launch([*command, "--backend", "rtx", *options], **settings)

    return start


def ended(child):
    out, said = child.communicate(timeout=120)
    assert "Traceback" not in said
    return out, said


def names(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", ["preparing", "Optimizing graph"])
def test_interrupted_in_the_middle(number, step, digits_onnx, tmp_path, cache, start):
    child = start(digits_onnx, tmp_path / "new" / "d.engine")
    for line in child.stderr:
        if step in line:
            break
    child.send_signal(number)
    _, said = ended(child)
    assert child.returncode == 130, said
    assert "interrupted" in said
    assert names(tmp_path) == []
    assert [p.suffix for p in cache.iterdir()] == [".lock"]
    assert not running(tmp_path)


def running(folder):
    """Tell whether a process is left that builds into a folder."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    return str(folder) in listed


def test_an_interrupted_builder_is_ended_not_waited_for(tmp_path, fakes, start):
    fakes.setenv("FAKE_BUILD", "slow")
    fakes.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    child = start(write_onnx(tmp_path / "m.onnx"), tmp_path / "m.engine", "--backend", "tensorrt")
    for line in child.stderr:
        if "Timing" in line:
            break
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=20)
    assert child.returncode == 130, said
    assert not running(tmp_path)


def test_ctrl_c_reaches_the_building_process_too(digits_onnx, tmp_path, start):
    child = start(digits_onnx, tmp_path / "d.engine", start_new_session=True)
    for line in child.stderr:
        if "Optimizing" in line:
            break
    os.killpg(child.pid, signal.SIGINT)
    _, said = ended(child)
    assert child.returncode == 130
    assert said.strip().splitlines()[-1] == "simam: interrupted; nothing was left behind"
    assert names(tmp_path) == []


def test_a_builder_whose_parent_is_gone_ends(digits_onnx, tmp_path, start):
    child = start(digits_onnx, tmp_path / "d.engine")
    for line in child.stderr:
        if "building" in line:
            break
    child.kill()
    child.communicate()
    deadline = time.monotonic() + 30
    while running(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not running(tmp_path)


def test_a_full_disk(digits_onnx, tmp_path, start):
    """A limit of 2 MB a file: the graph of 1.1 MB fits, the plan of 3.5 MB does not."""
    limit = (2_000_000, 2_000_000)
    child = start(
        digits_onnx,
        tmp_path / "d.engine",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    _, said = ended(child)
    assert child.returncode == 1
    assert "simam: error: cannot write d.engine: File too large" in said
    assert names(tmp_path) == []


def test_an_unwritable_folder(tmp_path, capsys):
    """/proc takes no files from anyone, root included."""
    assert main([str(write_onnx(tmp_path / "m.onnx")), "-q", "-o", "/proc/m.engine"]) == 1
    assert "simam: error: cannot write /proc/m.engine" in capsys.readouterr().err


def test_two_at_once_build_one_plan(digits_onnx, tmp_path, start):
    children = [start(digits_onnx, tmp_path / f"{n}.engine", "--json") for n in "ab"]
    documents = [json.loads(ended(child)[0]) for child in children]
    assert sorted(d["cached"] for d in documents) == [False, True]
    assert sha256_of(tmp_path / "a.engine") == sha256_of(tmp_path / "b.engine")


def test_two_at_once_of_one_name_leave_a_plan_with_its_own_manifest(digits_onnx, tmp_path, start):
    """Two builds of a dynamic network differ in their bytes."""
    output = tmp_path / "d.engine"
    children = [start(digits_onnx, output, "--no-cache", "--target", t) for t in ("sm86", "sm89")]
    for child in children:
        ended(child)
    assert [child.returncode for child in children] == [0, 0]
    (file,) = json.loads((tmp_path / "d.engine.json").read_text())["files"]
    assert file["sha256"] == sha256_of(output)
    assert names(tmp_path) == ["d.engine", "d.engine.json", "d.engine.log"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file"),
        (b"", "the file is empty"),
        (b"PK\x03\x04", "a zip archive"),
        (b"hello", "no ONNX model"),
    ],
)
def test_bad_files_are_one_line_and_exit_1(content, says, tmp_path, capsys):
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    before = names(tmp_path)
    assert main([str(path), "-q", "--backend", "rtx"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("simam: error: ")
    assert printed.err.count("\n") == 1
    assert says in printed.err
    assert names(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--target", "sm_9"], "not a target like sm89"),
        (["--target", "sm89,sm89"], "a target stands twice"),
        (["--target", "current,sm89"], "beside current"),
        (["--opt-shapes", "1x3"], "not NAME:SHAPE"),
        (["--workspace", "0"], "not a whole number above 0"),
        (["--precision", "fp4"], "invalid choice"),
        (["--backend", "trt"], "invalid choice"),
    ],
)
def test_usage_errors_exit_2_before_any_work(options, says, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path / "m.onnx"), *options])
    assert caught.value.code == 2
    assert says in capsys.readouterr().err
    assert names(tmp_path) == []
