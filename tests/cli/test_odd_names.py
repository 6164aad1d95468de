"""Names that are long, no text, or somebody else's: one line, or they work."""

import os
import subprocess
import sys

import pytest

from simam_deploy.cli.build import main as build
from simam_deploy.cli.export import main as export
from simam_deploy.cli.inspect import main as inspect
from simam_deploy.cli.validate import main as validate
from tests.source import others

LONG = "n" * 400


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "theirs.onnx"
    path.write_bytes(others.network().SerializeToString())
    return path


@pytest.mark.parametrize(
    "argv",
    [
        (export, "{source}", "-q", "-o", f"{{folder}}/{LONG}.onnx"),
        (export, "{source}", "-q", "-o", f"{{folder}}/{LONG}/"),
        (export, "{source}", "-q", "-o", "{folder}/" + "d/" * 2100 + "m.onnx"),
        (export, f"{LONG}.onnx", "-q", "-o", "{folder}/m.onnx"),
        (build, "{source}", "-q", "-o", f"{{folder}}/{LONG}.engine"),
        (build, f"{LONG}.onnx", "-q", "-o", "{folder}/m.engine"),
        (inspect, f"{LONG}.onnx"),
        (validate, "{source}", f"{LONG}.onnx", "-q"),
        (validate, f"{LONG}.onnx", "{source}", "-q"),
    ],
)
def test_a_long_name_is_one_line(argv, source, tmp_path, capsys):
    main, *words = argv
    assert main([word.format(source=source, folder=tmp_path) for word in words]) == 1
    said = capsys.readouterr().err
    assert "name too long" in said
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("export", "{source}", "-q", "-o", "{folder}/out\udcff/"), id="export"),
        pytest.param(("validate", "{source}", "{source}", "-q"), id="validate"),
    ],
)
def test_a_name_that_is_no_utf_8_works(words, source, tmp_path):
    """In a process of its own, whose output is encoded as a terminal's is."""
    odd = source.rename(tmp_path / os.fsdecode(b"\xff\xfe.onnx"))
    argv = [word.format(source=odd, folder=tmp_path) for word in words]
    command = [sys.executable, "-m", "simam_deploy", *argv]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_new_folder_is_made(source, tmp_path):
    assert export([str(source), "-q", "-o", f"{tmp_path}/new/folder/"]) == 0
    assert (tmp_path / "new" / "folder" / "theirs.onnx").is_file()
