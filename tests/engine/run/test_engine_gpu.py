"""The script for machines with a GPU, on the device that is host memory and computes 2 x."""

import argparse

import pytest

pytest.importorskip("onnxruntime", reason="ONNX Runtime is missing")

from bench.engine_gpu import all_rows, main
from tests.engine.conftest import write_onnx


def rows(tmp_path, body):
    onnx = write_onnx(tmp_path / "m.onnx", body)
    args = argparse.Namespace(onnx=[onnx], precision=["fp32"], runs=40)
    found = [r for r in all_rows(args, tmp_path) if r["library"] == "tensorrt"]
    return {row["what"]: row["value"] for row in found if row["targets"] == "default"}


def test_every_figure_is_there(gpu, tmp_path):
    found = rows(tmp_path, "y = Add(x, x)")
    assert found["taken"] == "yes"
    assert found["error"] == 0
    for state in ("on", "off"):
        assert (
            0 < found[f"ms at 50 %, CUDA graph {state}"] <= found[f"ms at 99 %, CUDA graph {state}"]
        )
    assert found["device bytes grown in 40 runs"] == 0
    assert found["two threads"] == "0 results of 400 differ"
    assert found["profile switch"] == "0 results of 100 differ, 2 profiles"


def test_what_is_not_taken_is_said(gpu, tmp_path):
    """The build itself proves the plan, and this one computes something else."""
    found = rows(tmp_path, "y = Relu(x)")
    assert list(found) == ["taken"]
    assert found["taken"].startswith("no: m.engine was not written: output y")


def test_without_a_gpu(fakes, monkeypatch):
    monkeypatch.setattr("sys.argv", ["engine_gpu.py"])
    with pytest.raises(SystemExit, match="runs on an NVIDIA GPU alone"):
        main()
