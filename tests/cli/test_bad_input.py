"""Bad input to `simam export`: one clear line, the right exit code, nothing left behind."""

import argparse
import contextlib
import pickle
import resource
import signal
import sys
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from simam_deploy.cli.export import main
from simam_deploy.cli.process import Steps, run
from simam_deploy.models.create import create
from simam_deploy.models.zoo import NETWORKS


class Evil:
    def __reduce__(self):
        return (print, ("code ran",))


def state_dict(network="cifar_resnet20"):
    torch.manual_seed(0)
    return create(NETWORKS[network]).state_dict()


def plain(keys):
    return OrderedDict((k.replace("conv2.0.", "conv2."), v) for k, v in keys.items())


def with_extra(**tensors):
    return {**plain(state_dict()), **{k.replace("__", "."): v for k, v in tensors.items()}}


def with_nan():
    keys = state_dict()
    keys["layer2.0.conv1.weight"][0, 0, 0, 0] = float("nan")
    return keys


def write(folder: Path, name: str) -> Path:
    path = folder / f"{name}.pth"
    match name:
        case "missing":
            pass
        case "empty":
            path.write_bytes(b"")
        case "random bytes":
            path.write_bytes(np.random.default_rng(0).bytes(100_000))
        case "directory":
            path.mkdir()
        case "bare pickle":
            path.write_bytes(pickle.dumps({"state_dict": Evil()}, protocol=2))
        case "legacy file with code":
            torch.save({"state_dict": Evil()}, path, _use_new_zipfile_serialization=False)
        case "zip with code":
            torch.save({"state_dict": Evil()}, path)
        case "expanded tensor":
            huge = torch.zeros(1).expand(2**40)
            torch.save({**state_dict(), "conv1.weight": huge}, path)
        case "plain ResNet":
            torch.save(plain(state_dict()), path)
        case "SE":
            torch.save(with_extra(layer1__0__bn2__1__fc__0__weight=torch.ones(1, 16)), path)
        case "CBAM":
            gate = {"layer1__0__bn2__1__ChannelGate__mlp__1__weight": torch.ones(1, 16)}
            torch.save(with_extra(**gate), path)
        case "NaN":
            torch.save(with_nan(), path)
    return path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing", "no such file"),
        ("empty", "empty"),
        ("random bytes", "random bytes.pth"),
        ("directory", "directory"),
        ("bare pickle", "a plain pickle that torch.save did not write"),
        ("legacy file with code", "asks for builtins.print"),
        ("zip with code", "(--trust-pickle)"),
        ("expanded tensor", "expanded tensor.pth"),
        ("plain ResNet", "--arch"),
        ("SE", "SE"),
        ("CBAM", "CBAM"),
        ("NaN", "layer2.0.conv1.weight"),
    ],
)
def test_one_line_and_nothing_left(name, says, tmp_path, capsys):
    source = write(tmp_path, name)
    before = sorted(tmp_path.iterdir())
    assert main([str(source), "-q"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("simam: error: ")
    assert printed.err.count("\n") == 1
    assert says.lower() in printed.err.lower()
    assert "code ran" not in printed.err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("twentieths", range(1, 20))
def test_truncated(twentieths, digits, tmp_path, capsys):
    whole = digits.read_bytes()
    source = tmp_path / "cut.pth"
    source.write_bytes(whole[: len(whole) * twentieths // 20])
    assert main([str(source), "-q"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["cut.pth"]


def test_an_input_too_small_names_the_site_and_what_would_do(tmp_path, capsys):
    torch.save(state_dict("resnet18"), tmp_path / "r.pth")
    assert main([str(tmp_path / "r.pth"), "-q", "--input-shape", "3x32x32"]) == 1
    said = capsys.readouterr().err
    assert "layer4.0.conv2.1" in said
    assert "1x3x33x33" in said


def test_an_output_that_is_a_folder_of_that_name(digits, tmp_path, capsys):
    (tmp_path / "m.onnx").mkdir()
    (tmp_path / "m.onnx" / "model_best.onnx").mkdir()
    assert main([str(digits), "-q", "-o", str(tmp_path / "m.onnx")]) == 1
    assert "is a directory" in capsys.readouterr().err


@pytest.fixture
def export(launch, digits):
    def export(output, **options):
        command = [sys.executable, "-m", "simam_deploy", "export", str(digits), "-o", str(output)]
        return launch(command, **options)

    return export


def test_a_full_disk(export, tmp_path):
    """A limit of 500 kB a file: the 1.1 MB model fails in the middle of being written."""
    limit = (500_000, 500_000)
    child = export(
        tmp_path / "m.onnx",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    _, said = child.communicate(timeout=300)
    assert child.returncode == 1
    assert "simam: error: cannot write" in said
    assert "m.onnx: File too large" in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_folder(digits, tmp_path, capsys):
    """/proc takes no files from anyone, root included."""
    assert main([str(digits), "-q", "-o", "/proc/m.onnx"]) == 1
    assert "simam: error: cannot write /proc/m.onnx" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", ["reading", "making"])
def test_interrupted_in_the_middle(number, step, export, tmp_path):
    child = export(tmp_path / "new" / "m.onnx")
    for line in child.stderr:
        if step in line:
            break
    time.sleep(0.2)
    child.send_signal(number)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130, said
    assert "interrupted" in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_is_one_whatever_a_library_makes_of_it(number, capsys):
    """In the middle of `import onnxruntime` it came out as an ImportError, with a traceback."""

    def command(args):
        try:
            signal.raise_signal(number)
        except BaseException:
            raise ImportError("initialization failed") from None

    assert run(argparse.ArgumentParser("simam-export"), command, []) == 130
    assert capsys.readouterr().err == "simam: interrupted; nothing was left behind\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_that_a_library_swallows_ends_the_work_at_the_next_step(number, capsys):
    """Onnxsim tries to import ONNX Runtime, and goes on where that fails."""
    begun = []

    def command(args):
        with contextlib.suppress(BaseException):
            signal.raise_signal(number)
        Steps(quiet=True)("next")
        begun.append("next")

    assert run(argparse.ArgumentParser("simam-export"), command, []) == 130
    assert begun == []
    assert capsys.readouterr().err == "simam: interrupted; nothing was left behind\n"
