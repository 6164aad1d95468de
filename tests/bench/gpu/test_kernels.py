"""What the parts about kernels make of right and wrong results, on the host."""

import pytest
import torch
from gpu import detection_accuracy, kernel_accuracy, kernel_speed, timing
from gpu.setting import Setting

DRY = Setting(dry=True)
CELL = ("2x3x4x5", "float32", "nchw", "affine")


@pytest.mark.parametrize("cell", [CELL, ("2x3x4x5", "float16", "nhwc", "residual")])
def test_our_operators_are_right(cell):
    (row,) = kernel_accuracy.measure(cell, DRY)
    assert row["right"] == "yes" and float(row["error"]) <= float(row["tolerance"])


@pytest.mark.parametrize("fault", [lambda y: y * (1 + 2e-5), lambda y: y * float("nan")])
def test_a_wrong_kernel_is_seen(fault, monkeypatch):
    real = kernel_accuracy.ours
    monkeypatch.setattr(
        kernel_accuracy, "ours", lambda name: lambda given: fault(real(name)(given))
    )
    (row,) = kernel_accuracy.measure(CELL, DRY)
    assert row["right"] == "no"


@pytest.mark.parametrize(
    ("epilogue", "moved", "per_cent"), [("none", 2, 50.0), ("residual", 3, 75.0)]
)
def test_per_cents_are_of_the_faster_copy_by_the_bytes_that_are_moved(
    epilogue, moved, per_cent, monkeypatch
):
    taken = {"memcpy": 2.0, "copy kernel": 1.0, "ours": 2.0}
    monkeypatch.setattr(kernel_speed, "medians", lambda *_: taken)
    rows = list(kernel_speed.measure(("10x10x10x10", "float32", "nchw", epilogue), DRY))
    found = {row["contender"]: row for row in rows}
    assert [found[n]["per_cent_of_copy"] for n in taken] == ["50.0", "100.0", f"{per_cent}"]
    assert found["ours"]["gigabytes_per_second"] == f"{4 * 10_000 * moved / 2e-6 / 1e9:.0f}"


def test_contenders_take_turns_over_all_sets():
    calls = []
    runs = {name: lambda given, name=name: calls.append((name, given)) for name in "ab"}
    times = timing.medians(runs, [1, 2], 3, DRY)
    assert calls == [("a", 1), ("a", 2), ("b", 1), ("b", 2)] * 3
    assert [*times] == ["a", "b"] and all(time > 0 for time in times.values())


@pytest.mark.parametrize(("fault", "right"), [(0.0, "yes"), (1e-4, "no"), (float("nan"), "no")])
def test_detection_operators_are_held_against_the_host(fault, right, monkeypatch):
    def made(library, case):
        return lambda given: torch.ones(8) + (fault if library == "device" else 0.0)

    for name in ("device", "host"):
        monkeypatch.setattr(detection_accuracy, f"{name}_library", lambda setting, n=name: n)
    monkeypatch.setattr(detection_accuracy, "aligner", made)
    monkeypatch.setattr(detection_accuracy, "suppressor", made)
    align = next(name for name in detection_accuracy.ALIGNS if "float32" in name)
    nms = next(iter(detection_accuracy.SUPPRESSIONS))
    for cell in (("MultilevelRoIAlign", align), ("BatchedNMS", nms)):
        (row,) = detection_accuracy.measure(cell, DRY)
        assert row["right"] == right
