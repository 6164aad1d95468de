"""Streams that are full, closed, or read no further: no traceback, and the exit code is true."""

import os
import subprocess
import sys

import onnx
import pytest

from simam_deploy.cli.commands import COMMANDS
from tests.source import others

SIMAM = f"{sys.executable} -m simam_deploy"
EVERY = [*COMMANDS, "bench ops", "bench attention"]


def shell(words, **environment):
    """Run a line of the shell's; gives the exit code and what came on stderr."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{SIMAM} {words}"],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        timeout=300,
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    "words", ["", "--help", "--version", *(f"{name} --help" for name in EVERY), "doctor --json"]
)
def test_a_full_disk_behind_stdout_is_told(words):
    code, said = shell(f"{words} > /dev/full")
    assert (code, said) == (1, "simam: error: cannot write to stdout: No space left on device\n")


@pytest.mark.parametrize("words", ["", "export --help", "doctor", "doctor --json", "export --list"])
@pytest.mark.parametrize("where", [">&-", "| true"])
def test_closed_streams_are_no_error(words, where):
    assert shell(f"{words} {where}") == (0, "")


@pytest.mark.parametrize("words", ["expor", "export --nonsense", "doctor --nonsense"])
@pytest.mark.parametrize("where", ["2>&-", "2> /dev/full"])
def test_the_exit_code_is_that_of_the_command_where_nobody_is_told(words, where):
    assert shell(f"{words} {where}") == (2, "")


@pytest.mark.parametrize(
    "where", [">&- 2>&-", "<&- >&- 2>&-", "2>&1 | true", "> /dev/full 2>&1", "2> /dev/full"]
)
def test_work_is_ended_and_no_descriptor_is_mistaken(where, tmp_path):
    """Were descriptor 1 free, the model would be opened as it, and libraries print into it."""
    source, made = tmp_path / "theirs.onnx", tmp_path / "m.onnx"
    source.write_bytes(others.network().SerializeToString())
    code, _ = shell(f"export {source} -o {made} {where}")
    assert code == (1 if where.startswith("> /dev/full") else 0)
    onnx.checker.check_model(onnx.load(made))
    assert made.with_suffix(".json").exists()


def test_a_failed_validation_stays_one_for_whoever_reads_no_further(tmp_path):
    """`| head -1` must not make a 0 of a 3."""
    source, other = tmp_path / "theirs.onnx", tmp_path / "other.onnx"
    model = others.network()
    source.write_bytes(model.SerializeToString())
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 4:
            doubled = 2 * onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(doubled, tensor.name))
    other.write_bytes(model.SerializeToString())
    code, said = shell(f"validate {source} {other} -q | true")
    assert code == 3
    assert "failed" in said
