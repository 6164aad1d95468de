"""The commands as processes: what a shell sees of them."""

import json
import subprocess
import sys

import pytest

import simam_deploy
from simam_deploy.cli.commands import COMMANDS


def simam(*args, **options):
    return subprocess.run(
        [sys.executable, "-m", "simam_deploy", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )


def test_help_names_every_command_and_exit_code():
    done = simam("--help")
    assert done.returncode == 0
    assert "export" in done.stdout
    assert "3 validation failed" in done.stdout
    assert simam().stdout == done.stdout


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS), ["bench", "attention"]])
def test_version(words):
    done = simam(*words, "--version")
    assert (done.returncode, done.stdout) == (0, f"simam-deploy {simam_deploy.__version__}\n")


@pytest.mark.parametrize(
    ("word", "says"), [("exprot", "did you mean export?"), ("zzz", "there is export, bench, ")]
)
def test_an_unknown_command_is_one_line_and_exit_2(word, says):
    done = simam(word)
    assert done.returncode == 2
    assert done.stderr.startswith(f"simam: error: no command '{word}'; {says}")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--lowring", "nopow", "m.pth"], "--lowring m.pth; did you mean --lowering?"),
        (["m.pth", "--precison=fp16"], "--precison=fp16; did you mean --precision?"),
        (["m.pth", "--zzz"], "--zzz"),
    ],
)
def test_a_mistyped_option_is_told_which_one_comes_near(words, says):
    done = simam("export", *words)
    assert done.returncode == 2
    assert done.stderr.endswith(f"error: unrecognized arguments: {says}\n")


def test_list_prints_every_network():
    printed = simam("export", "--list").stdout
    assert all(name in printed for name in simam_deploy.NETWORKS)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "no source given"),
        (["m.pth", "--opset", "12"], "13 to 23, got 12 (--opset)"),
        (["m.pth", "--input-shape", "3xax3"], "not a shape"),
        (["m.pth", "--dynamic", "all"], "invalid choice"),
        (["m.pth", "-o", "m.pb"], "must be named .onnx"),
        (["m.pth", "--lambda", "big"], "not a number: 'big'"),
        (["m.pth", "--lowering", "fast"], "invalid choice"),
        (
            ["m.pth", "--lowering", "function", "--opset", "17"],
            "opset 18 or newer, got 17 (--lowering, --opset)",
        ),
    ],
)
def test_usage_errors_exit_2_before_any_work(options, says, tmp_path):
    done = simam("export", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_json_is_the_only_thing_on_stdout(digits, tmp_path):
    done = simam("export", digits, "-o", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert set(document) >= {
        "artifact", "manifest", "arch", "e_lambda", "e_lambda_source", "simam_sites", "lowering",
        "opset", "inputs", "validation", "seconds",
    }  # fmt: skip
    assert set(document["validation"]) >= {"passed", "max_abs", "max_rel", "cases"}
    assert document["simam_sites"] == 9
    assert document["lowering"] == "portable"
    assert document["e_lambda"] == 1e-4
    assert "folder" in document["e_lambda_source"]


def test_quiet_prints_no_progress(digits, tmp_path):
    done = simam("export", digits, "-o", tmp_path, "-q")
    assert done.stderr == ""
    assert (
        "SimAM sites  9: layer1.0.conv2.1, layer1.1.conv2.1, ..., layer3.2.conv2.1" in done.stdout
    )
    assert "lowered as   portable" in done.stdout
