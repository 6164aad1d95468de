"""Networks of several inputs on samples that a user gives, by the commands."""

import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch

from simam_deploy.cli.export import main as export
from simam_deploy.cli.inspect import main as inspect
from simam_deploy.cli.validate import main as validate
from simam_deploy.core.manifest import read_facts
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from tests.source import called

PLACE = Path(called.__file__)
PAIR = ("left:float32:1x3x16x16", "right:float32:1x3x16x16")


def options(factory, inputs):
    return ["--model", f"{PLACE}:{factory}", *(w for each in inputs for w in ("--input", each))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights and samples: pairs whose right pictures spread twice as far as the left ones."""
    folder = tmp_path_factory.mktemp("several")
    for factory in ("Deep", "Mixed"):
        torch.save(getattr(called, factory)().state_dict(), folder / f"{factory}.pth")
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((2, 24, 3, 16, 16), np.float32)
    labels = np.zeros(24, np.int64)
    np.savez(folder / "pairs.npz", left=left, right=2 * right, labels=labels)
    np.savez(
        folder / "mixed.npz",
        limit=np.float32(0.5),
        picture=rng.integers(0, 256, (9, 16, 16, 3), np.uint8),
        mask=rng.integers(0, 2, (9, 16, 16)).astype(bool),
        tokens=rng.integers(0, 5, (9, 5)),
        anchors=rng.standard_normal((1, 4), np.float32),
    )
    return folder


@pytest.fixture(scope="module")
def pair(folder):
    """A float32 file, judged on the pairs."""
    words = [*options("Deep", PAIR), "--data", str(folder / "pairs.npz")]
    assert export([str(folder / "Deep.pth"), *words, "-q"]) == 0
    return folder / "Deep.onnx"


def judged(folder, file, factory, inputs, data, capsys):
    """Validate a file against its weights on samples: the exit code and the document."""
    words = [*options(factory, inputs), "--data", str(folder / data), "--json", "-q"]
    capsys.readouterr()
    code = validate([str(folder / f"{factory}.pth"), str(file), *words])
    return code, json.loads(capsys.readouterr().out)


def test_pairs_judge_a_siamese_network(folder, pair, capsys):
    code, document = judged(folder, pair, "Deep", PAIR, "pairs.npz", capsys)
    assert code == 0
    assert document["accuracy"]["samples"] == 24
    assert document["accuracy"]["agreement"] == 1
    with torch.no_grad():
        scores = called.Deep().embed(torch.tensor(np.load(folder / "pairs.npz")["left"]))
    right = float((scores.argmax(1) == 0).float().mean())
    assert document["accuracy"]["reference"]["top1"] == pytest.approx(right)
    cases = {result["case"] for result in document["validation"]["results"]}
    assert {"pairs.npz 0"} <= cases


def test_inputs_that_were_swapped_show_on_samples(folder, pair, tmp_path, capsys):
    """A file that takes its inputs by the other's name, its outputs being those of the other."""
    model = read_model(pair)
    left, right = model.graph.inputs
    left.name, right.name = "right", "left"
    write_model(model, tmp_path / "swapped.onnx")
    file = tmp_path / "swapped.onnx"
    code, document = judged(folder, file, "Deep", PAIR, "pairs.npz", capsys)
    assert code == 3
    failed = [r for r in document["validation"]["results"] if r["case"].startswith("pairs")]
    assert not all(result["passed"] for result in failed)


def test_int8_is_calibrated_and_judged_on_pairs(folder, capsys):
    words = ["--precision", "int8", "--calibration-data", str(folder / "pairs.npz")]
    file = folder / "deep.int8.onnx"
    asked = [str(folder / "Deep.pth"), *options("Deep", PAIR), *words, "-o", str(file), "-q"]
    assert export(asked) == 0
    kinds = [node.op_type for node in ir.load(file).graph]
    assert kinds.count("QuantizeLinear") >= 2  # of each branch
    facts = read_facts(file)
    assert facts["calibration"]["samples"] == 24
    left, right = facts["calibration"]["ranges"].values()
    assert right > 1.5 * left
    code, document = judged(folder, file, "Deep", PAIR, "pairs.npz", capsys)
    assert code == 0
    assert document["validation"]["precision"] == "int8"


def test_ranges_of_a_half_are_measured_on_pairs(folder, pair, capsys):
    words = ["--precision", "fp16", "--data", str(folder / "pairs.npz"), "--json"]
    assert inspect([str(pair), *words]) == 0
    left, right = (
        site["measured"]["std"] for site in json.loads(capsys.readouterr().out)["ranges"]
    )
    assert right > 1.5 * left


@pytest.mark.parametrize("batch", ["batch", pytest.param("none", marks=pytest.mark.slow)])
def test_what_has_no_batch_is_given_whole(folder, batch, tmp_path, capsys):
    """`none` fixes a batch of 2, which 9 samples do not fill."""
    words = [*options("Mixed", called.MIXED), "--data", str(folder / "mixed.npz")]
    file = tmp_path / "mixed.onnx"
    asked = [str(folder / "Mixed.pth"), *words, "--dynamic", batch, "-o", str(file), "-q"]
    assert export(asked) == 0
    code, document = judged(folder, file, "Mixed", called.MIXED, "mixed.npz", capsys)
    assert code == 0
    assert document["accuracy"]["samples"] == 9


@pytest.mark.parametrize("flag", ["--data", "--calibration-data"])
def test_a_missing_array_is_one_line(flag, folder, tmp_path, capsys):
    data, target = tmp_path / "half.npz", tmp_path / "o.onnx"
    np.savez(data, left=np.zeros((2, 3, 16, 16), np.float32))
    words = [*options("Deep", PAIR), flag, str(data), "-o", str(target)]
    precision = ["--precision", "int8"] if flag != "--data" else []
    assert export([str(folder / "Deep.pth"), *words, *precision, "-q"]) == 1
    says = capsys.readouterr().err
    assert says.splitlines()[-1].endswith("half.npz has no array right; there is left")
    assert not target.exists()
