"""`simam bench`: what a shell sees of it."""

import csv
import dataclasses
import json
import signal
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from simam_deploy.bench.operator_graphs import lowered, row_of_sites
from simam_deploy.bench.options import BenchOptions
from simam_deploy.cli.bench import main, parser
from simam_deploy.cli.options import read_options
from simam_deploy.core.options import words

COMMAND = [sys.executable, "-m", "simam_deploy", "bench"]
FREE = """<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
g (float[n,4,8,8] x) => (float[n,4,8,8] y) { y = simam.SimAM<e_lambda = 0.1>(x) }"""
QUICK = ("--starts", "3", "--rounds", "3", "-q")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Small graphs: right, written otherwise, of a batch of 1, of another lambda, and broken."""
    folder = tmp_path_factory.mktemp("models")
    for name, lowering, change in (
        ("right", "portable", ("", "")),
        ("flat", "flat", ("", "")),
        ("fixed", "portable", ("float[n", "float[1")),
        ("wrong", "portable", ("e_lambda = 0.1", "e_lambda = 0.3")),
    ):
        model = ir.from_proto(onnx.parser.parse_model(FREE.replace(*change)))
        onnx.save(ir.to_proto(lowered(model, lowering)), folder / f"{name}.onnx")
    (folder / "broken.onnx").write_bytes(b"no model")
    return folder


def read(table):
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_runs_is_measured_and_what_does_not_is_said(models, tmp_path, capsys):
    files = [str(models / f"{name}.onnx") for name in ("right", "flat", "fixed", "broken")]
    table = tmp_path / "t.csv"
    code = main(
        [*files, "--provider", "cpu", "--batch", "1,2", *QUICK, "--json", "--csv", str(table)]
    )
    printed = capsys.readouterr()
    assert code == 1
    assert printed.err == "simam: error: not measured as asked: fixed.onnx, broken.onnx\n"
    document = json.loads(printed.out)
    right, flat, fixed, broken = document["subjects"]
    assert document["reference"] == "right.onnx"
    assert right["batches"][0]["agreement"] is None
    assert [b["times"]["runs"] >= 3 for b in flat["batches"]] == [True, True]
    for row in flat["batches"]:
        assert row["agreement"]["passed"]
        assert [ratio["clock"] for ratio in row["ratios"]] == ["processor", "wall"]
        low, value, high = (row["ratios"][0][key] for key in ("low", "value", "high"))
        assert 0 < low < value < high
    assert [row["times"] is None for row in fixed["batches"]] == [False, True]
    assert "was to run on 2x4x8x8" in fixed["batches"][1]["reason"]
    assert "broken.onnx" in broken["reason"]
    assert right["peak_memory"] > 20e6
    assert right["cold_start_processor_s"] > 0
    assert [site["shape"] for site in document["rooflines"][0]["sites"]] == [[1, 4, 8, 8]]
    rows = read(table)
    assert {row["start"] for row in rows} == {"1", "2", "3", "all"}
    last = [row for row in rows if row["start"] == "all"]
    assert [(row["subject"], row["batch"]) for row in last] == [
        (f"{name}.onnx", batch) for name in ("right", "flat", "fixed", "broken") for batch in "12"
    ]
    assert {row["reason"] == "" for row in last if row["subject"] == "broken.onnx"} == {False}


def test_ratios_are_to_the_first_that_runs(models, capsys):
    files = [str(models / f"{name}.onnx") for name in ("broken", "right", "flat")]
    assert main([*files, "--provider", "cpu", *QUICK, "--no-roofline"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("times as fast as right.onnx") for line in lines)
    (row,) = (line for line in lines if line.split()[:2] == ["flat.onnx", "1"])
    assert "(" in row.split()[7]


def test_speed_stands_beside_what_is_wrong(models, capsys):
    files = [str(models / f"{name}.onnx") for name in ("right", "wrong")]
    assert main([*files, "--provider", "cpu", *QUICK, "--no-roofline"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["model", "batch", "p50"]
    assert " NO, " in next(line for line in lines if "wrong.onnx" in line)
    assert any("95 % intervals over 3 starts" in line for line in lines)


def test_what_pytorch_runs_is_compared_with_its_file_and_samples_tell_accuracy(
    digits, digits_onnx, tmp_path, capsys
):
    rng = np.random.default_rng(0)
    data = tmp_path / "data.npz"
    images = rng.standard_normal((8, 3, 32, 32)).astype(np.float32)
    np.savez(data, images=images, labels=np.zeros(8, np.int64))
    files = [str(digits_onnx), str(digits)]
    options = [
        "--data",
        str(data),
        "--starts",
        "1",
        "--rounds",
        "1",
        "-q",
        "--no-roofline",
        "--json",
    ]
    assert main([*files, *options]) == 0
    document = json.loads(capsys.readouterr().out)
    file, eager = document["subjects"]
    assert document["reference"] == eager["name"] == "model_best.pth.tar"
    assert eager["how"] == "eager"
    assert file["batches"][0]["agreement"]["passed"]
    assert file["accuracy"]["agreement"] == eager["accuracy"]["agreement"] == 1
    assert file["accuracy"]["candidate"]["top1"] == eager["accuracy"]["candidate"]["top1"]
    assert file["batches"][0]["ratios"] == []
    ratio = eager["batches"][0]["ratios"][0]
    assert (ratio["low"], ratio["high"], ratio["starts"]) == (None, None, 1)


def test_an_interruption_keeps_the_figures(models, tmp_path, launch):
    table = tmp_path / "t.csv"
    files = [models / "right.onnx", models / "flat.onnx"]
    options = ["--starts", "1000", "--rounds", "1000", "--json", "--csv", table]
    child = launch([*COMMAND, *files, "--provider", "cpu", *map(str, options)])
    until = time.monotonic() + 120
    while time.monotonic() < until and not (table.exists() and len(read(table)) > 3):
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    document = json.loads(out)
    assert document["interrupted"]
    assert document["subjects"][1]["batches"][0]["times"]["runs"] >= 2
    rows = read(table)
    assert {"1", "2", "all"} <= {row["start"] for row in rows}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["none.onnx"], 1, "none.onnx"),
        (["right.onnx", "right.onnx"], 2, "is there twice"),
        (["right.onnx", "--batch", "0"], 2, "not a whole number above 0: '0'"),
        (["right.onnx", "--provider", "vulkan"], 2, "not a provider"),
        (["right.onnx", "--precision", "fp4"], 2, "not a precision"),
        (["right.onnx", "flat.onnx", "--precision", "all"], 2, "for one model"),
        (["right.onnx", "-o", "out"], 2, "--precision"),
        (["some.engine"], 1, "GPU"),
        (["right.onnx", "--csv", "broken.onnx"], 1, "holds another table"),
    ],
)
def test_bad_input(words, code, said, models, monkeypatch, capsys):
    monkeypatch.chdir(models)
    try:
        found = main([*words, "-q"])
    except SystemExit as stopped:
        found = stopped.code
    assert found == code
    error = capsys.readouterr().err.splitlines()[-1]
    assert said in error
    assert (models / "broken.onnx").read_bytes() == b"no model"


OTHER = {
    "batches": (1, 8),
    "threads": 3,
    "starts": 4,
    "rounds": 9,
    "seconds": 0.1 + 0.2,
    "providers": ("cpu", "cuda"),
    "compiled": True,
    "reference": Path("a model.pth"),
    "trust_engine": True,
    "roofline": False,
}


def test_every_option_survives_being_said_and_read():
    asked = BenchOptions(**OTHER)
    assert all(getattr(asked, f.name) != f.default for f in dataclasses.fields(BenchOptions))
    read = read_options(BenchOptions, parser().parse_args(["m.onnx", *words(asked)]))
    assert read == asked
    assert words(BenchOptions()) == []


@pytest.mark.slow
def test_every_precision_is_a_row(digits, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--precision", "all", "-o", str(out), *QUICK, "--json", "--csv", str(tmp_path / "t")]
    assert main([str(digits), *options]) == 0
    document = json.loads(capsys.readouterr().out)
    rows = {row["precision"]: row for row in document["subjects"]}
    assert list(rows) == ["fp32", "fp16", "bf16", "int8", "fp8"]
    assert "ONNX Runtime does not take" in rows["bf16"]["reason"]
    for row in rows.values():
        assert row["size"] == (out / row["file"]).stat().st_size
        assert row["batches"][0]["agreement"]["passed"]
    assert rows["int8"]["size"] < rows["fp16"]["size"] < rows["fp32"]["size"]
    assert any("drawn inputs" in note for note in rows["int8"]["notes"])
    last = [row for row in read(tmp_path / "t") if row["start"] == "all"]
    assert [row["precision"] for row in last] == list(rows)


def test_the_operator_alone(tmp_path, capsys):
    table = tmp_path / "ops.csv"
    words = ["ops", "--shape", "1x2x8x8", "--starts", "1", "--rounds", "2", "-q"]
    assert main([*words, "--precision", "fp16", "--csv", str(table), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    ways = {"published", "portable", "nopow", "flat", "function", "instancenorm", "torch"}
    assert ways <= {row["way"] for row in rows}
    for row in rows:
        assert row["reason"] == ""
        assert row["precision"] == "fp16"
        assert row["taken_ms"] > row["copy_ms"] > 0  # several nodes, each at least one map's pass
        assert row["ratio"]["low"] is None  # of one start nothing is known
    assert [line["way"] for line in read(table)] == [row["way"] for row in rows]


def test_a_map_of_one_pixel_is_refused(capsys):
    assert main(["ops", "--shape", "1x2x1x1"]) == 2
    assert "2 pixels or more" in capsys.readouterr().err


def test_a_graph_of_sites_has_maps_of_its_precision():
    for precision, dtype in (("fp32", ir.DataType.FLOAT), ("fp16", ir.DataType.FLOAT16)):
        assert row_of_sites((1, 2, 4, 4), precision).graph.outputs[0].dtype == dtype
