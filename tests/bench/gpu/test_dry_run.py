"""All that a GPU is to show, tried as far as this machine can: what CI runs of gpu_all."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime", reason="ONNX Runtime is missing")

from gpu.compiled import detection_library, device_cases, kernel_library, missing_nvcc
from gpu.parts import parts_of, tables
from gpu.setting import ROOT, Setting

from simam_deploy.op.torch.library import KernelLibrary


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_part_is_tried_and_marked_dry(tmp_path):
    """13 s on two quiet cores, most of it torch's import, nvcc and torch.compile."""
    command = [sys.executable, ROOT / "scripts/bench/gpu_all.py", "--dry-run", "--out", tmp_path]
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    told = {row["of"]: row for row in rows(tmp_path / "parts.csv")}
    assert [*told] == [part.name for part in parts_of(dry=True)], done.stdout + done.stderr
    skipped = {name: row["why"] for name, row in told.items() if row["state"] == "skipped"}
    assert all(row["state"] == "shown" for name, row in told.items() if name not in skipped), told
    assert all("missing" in why or "nvcc" in why for why in skipped.values())
    assert done.returncode == (3 if skipped else 0)
    made = {path.stem for path in tmp_path.glob("*.csv")}
    assert made == set(tables())
    assert {row["gpu"] for name in made for row in rows(tmp_path / f"{name}.csv")} == {"dry run"}


@pytest.mark.slow
@pytest.mark.skipif(bool(missing_nvcc()), reason=missing_nvcc())
def test_what_is_compiled_for_a_gpu_loads(tmp_path):
    """As on a GPU: all files at once, for its architecture alone, and linked."""
    setting = Setting(dry=True, work=tmp_path)
    library = kernel_library(setting)
    KernelLibrary(library)
    assert detection_library(setting).parent == library.parent
    assert sorted(p.name for p in library.parent.iterdir()) == [
        "libsimam_detection.so",
        "libsimam_kernel.so",
        "objects",
    ]
    objects = {p: p.stat().st_mtime_ns for p in (library.parent / "objects").iterdir()}
    assert os.access(device_cases(setting), os.X_OK)
    assert kernel_library(setting) == library
    after = {p: p.stat().st_mtime_ns for p in (library.parent / "objects").iterdir()}
    assert {p: after[p] for p in objects} == objects  # the program of cases is made of them too
    assert [p.name for p in after.keys() - objects.keys()] == ["tests-device_cases.o"]
