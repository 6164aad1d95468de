"""`simam validate`: what a shell sees of it."""

import json
import subprocess
import sys

import pytest

from simam_deploy.cli.validate import main


@pytest.fixture(scope="module")
def float32(digits_onnx):
    return digits_onnx


def test_json_is_the_only_thing_on_stdout(float32, tmp_path):
    plot = tmp_path / "gates.html"
    command = [sys.executable, "-m", "simam_deploy", "validate", str(float32), str(float32)]
    done = subprocess.run([*command, "--json", "--plot", plot], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout, parse_constant=pytest.fail)
    assert document["passed"] is True
    assert document["failures"] == []
    assert len(document["gates"]) == 9
    assert document["gates"][0]["name"] == "layer1.0.conv2.1"
    assert document["validation"]["cases"] == 3
    assert "comparing outputs" in done.stderr
    assert plot.read_text().startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["gates.html"]


def test_the_table_and_no_progress(float32, capsys):
    assert main([str(float32), str(float32), "-q"]) == 0
    streams = capsys.readouterr()
    assert streams.err == ""
    assert streams.out.startswith("digits.onnx against digits.onnx: passed")
    assert max(map(len, streams.out.splitlines())) <= 100


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-o", "c.onnx"], "give both"),
        (["--bisect", "-o", "c.pb"], "must be named .onnx"),
        (["--bisect", "-o", "b.onnx"], "b.onnx would be overwritten"),
        (["--plot", "a.onnx"], "a.onnx would be overwritten"),
        (["--limit", "3"], "--min-agreement, --data)"),
        (["--min-agreement", "1"], "--min-agreement, --data)"),
        (["--data", "d", "--min-agreement", "2"], "not a fraction"),
        (["--data", "d", "--min-agreement", "nan"], "not a fraction"),
        (["--input-shape", "3xax3"], "not a shape"),
    ],
)
def test_usage_errors_exit_2_before_any_work(options, says, tmp_path):
    command = [sys.executable, "-m", "simam_deploy", "validate", "a.onnx", "b.onnx", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_file_is_one_line(missing, float32, tmp_path, capsys):
    pair = [str(float32)] * 2
    pair[missing] = str(tmp_path / "nowhere.onnx")
    assert main([*pair, "-q"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_plot_that_cannot_be_written_is_one_line(float32, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert (
        main([str(float32), str(float32), "-q", "--plot", str(tmp_path / "file" / "p.html")]) == 1
    )
    error = capsys.readouterr().err
    assert "cannot write" in error
    assert error.count("\n") == 1


def test_missing_data_is_one_line(float32, tmp_path, capsys):
    nowhere = ["--data", str(tmp_path / "nowhere.npz")]
    assert main([str(float32), str(float32), "-q", *nowhere]) == 1
    assert "nowhere.npz" in capsys.readouterr().err
