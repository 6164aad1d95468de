"""Parts on the tests' TensorRT, whose device is host memory and computes 2 x."""

import itertools

import pytest

pytest.importorskip("onnxruntime", reason="ONNX Runtime is missing")

import gpu_all
import numpy as np
import onnx_ir as ir
import torch
from gpu import files, plans, product, stress, targets
from gpu.files import DOUBLE, File
from gpu.parts import PARTS, parts_of
from gpu.setting import Setting

from simam_deploy.engine.run.runner import TensorRTRunner
from simam_deploy.models.create import create
from simam_deploy.models.zoo import NETWORKS
from tests.engine.conftest import write_onnx

DOUBLED = (DOUBLE, "fp32", "", "tensorrt")


@pytest.fixture
def setting(tmp_path):
    return Setting(dry=True, work=tmp_path)


@pytest.fixture
def other(monkeypatch, tmp_path):
    """A graph that computes something else than the device."""
    onnx = write_onnx(tmp_path / "other.onnx", "y = Relu(x)")
    monkeypatch.setattr(files, "_double", lambda: ir.load(onnx))


def test_a_plan_is_held_against_onnx_runtime_and_timed(gpu, setting):
    rows = list(plans.measure(DOUBLED, setting))
    assert [(r["batch"], r["cuda_graph"]) for r in rows] == [
        (1, "on"), (1, "off"), (8, "on"), (8, "off"),
    ]  # fmt: skip
    for row in rows:
        assert (row["error"], row["right"], row["over_portable"]) == ("0.00e+00", "yes", "1.000")
        assert 0 < float(row["ms_50"]) <= float(row["ms_90"]) <= float(row["ms_99"])
    assert "cudaGraphLaunch" in gpu.calls


def test_a_plan_that_computes_something_else_is_wrong(gpu, setting, other):
    assert {row["right"] for row in plans.measure(DOUBLED, setting)} == {"no"}
    (row,) = targets.measure((*DOUBLED[:2], "tensorrt", "default"), setting)
    assert (row["taken"], row["right"]) == ("yes", "no")
    (row,) = product.measure(DOUBLED, setting)
    assert row["right"] == "no" and row["said"].startswith("kept.engine was not written: output y")


def test_a_form_that_cannot_be_built_leaves_a_line(gpu, fakes, setting):
    fakes.setenv("FAKE_BUILD", "none")
    (row,) = plans.measure(DOUBLED, setting)
    assert row["form"] == "portable" and "no implementation for node c" in row["why"]
    (row,) = targets.measure((*DOUBLED[:2], "tensorrt", "default"), setting)
    assert row["taken"] == "not built" and "no implementation for node c" in row["said"]
    assert "right" not in row


def test_what_a_user_builds_is_proved(gpu, setting):
    (row,) = product.measure(DOUBLED, setting)
    assert (row["proved"], row["right"]) == (True, "yes")


def test_a_runner_is_used_for_long(gpu, setting):
    rows = {row["what"]: row for row in stress.measure((DOUBLE, "fp32", "tensorrt"), setting)}
    assert rows["device bytes grown in 40 runs"] == {
        "what": "device bytes grown in 40 runs", "value": 0, "right": "yes",
    }  # fmt: skip
    assert rows["two threads"]["value"] == "0 of 24 results differ"
    assert rows["profile switch"]["value"] == "0 of 6 results differ"
    assert rows["profiles"]["value"] == 2


def spoilt(runs):
    """Have every so many-th run give another result."""
    real, count = TensorRTRunner.run, iter(range(1, 10_000))

    def run(self, feeds):
        got = real(self, feeds)
        return {n: a + 1 for n, a in got.items()} if next(count) % runs == 0 else got

    return run


def test_results_that_differ_and_memory_that_grows_are_wrong(gpu, setting, monkeypatch):
    monkeypatch.setattr(TensorRTRunner, "run", spoilt(50))
    monkeypatch.setattr(stress, "used_memory", iter([(0, 0), (1, 0)]).__next__)
    rows = list(stress.measure((DOUBLE, "fp32", "tensorrt"), setting))
    wrong = [row["what"] for row in rows if row.get("right") == "no"]
    assert wrong == ["device bytes grown in 40 runs", "two threads"]


def test_a_thread_that_an_error_ends_has_results_that_differ(gpu, setting, monkeypatch):
    calls = iter(range(10_000))

    class EndError(Exception):
        pass

    def work(self, feeds):
        if next(calls) == 5:
            raise EndError
        return {"y": np.zeros(1)}

    class Runner:
        run = work

        def fork(self):
            return self

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

    monkeypatch.setattr("threading.excepthook", lambda args: None)
    differ, of = stress.threads(Runner(), [{}], 3)
    assert 1 <= differ <= 3 and of == 12


def test_weights_repeat_and_no_two_filters_are_alike():
    """What makes a pack small does not make layers trivial."""
    module = create(NETWORKS["cifar_resnet20"])
    spreads = [float(p.detach().std()) for p in module.parameters() if p.dim() == 4]
    files.repeat(module)
    weights = [p.detach() for p in module.parameters() if p.dim() == 4]
    for weight, spread in zip(weights, spreads, strict=True):
        filters, flat = weight.flatten(1), weight.flatten()
        assert len(filters.unique(dim=0)) == len(filters)
        assert torch.equal(flat[: -files.PERIOD], flat[files.PERIOD :])
        assert 0.8 < float(flat.std()) / spread < 1.2


def test_placements_name_layers_and_precisions_come_from_the_table(setting):
    named = {file.stem for network in files.WHOLE for file in files.files_of(network)}
    assert {f"{n}-{p}" for n in files.WHOLE for p in ("fp16", "fp32")} <= named
    quantised = itertools.product(files.WHOLE, ("int8", "fp8"), ("all", "pays"))
    assert {"-".join(each) for each in quantised} <= named
    assert "yolo-bf16" not in named


def test_what_cannot_be_made_ahead_is_said_and_left_out(gpu, fakes, setting, monkeypatch):
    monkeypatch.setattr(files, "WHOLE", (DOUBLE,))
    monkeypatch.setattr(files, "files_of", lambda network: [File(network)])
    monkeypatch.setattr(files, "forms_of", lambda flavour: ("portable",))
    fakes.setenv("FAKE_BUILD", "none")
    made, failed = files.make_all(setting, "tensorrt")
    assert made == "made double-fp32.onnx"
    assert failed.startswith("NOT MADE: double-fp32-portable: ")
    fakes.delenv("FAKE_BUILD")
    assert [*files.make_all(setting, "tensorrt")] == [made, "made double-fp32-portable.engine"]


def test_the_parts_fit_a_run():
    assert [part.name for part in parts_of(dry=False)] == [part.name for part in PARTS]
    assert sum(part.minutes for part in PARTS if not part.of) <= gpu_all.MINUTES


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--list"], 0, ""),
        (["--only", "speed"], 2, "no part 'speed'; there are sanitizer, kernel-accuracy"),
        (["--minutes", "0"], 2, "not above 0: 0"),
        (["--minutes", "nan"], 2, "not above 0: nan"),
        (["--list", "--dry-run"], 2, "not allowed with"),
    ],
)
def test_what_is_asked(words, code, message, capsys):
    try:
        got = gpu_all.main(words)
    except SystemExit as end:
        got = end.code
    said = capsys.readouterr()
    assert got == code and message in said.err
    assert all(part.shows in said.out for part in PARTS) == (code == 0)


def test_without_a_gpu_nothing_is_begun(fakes, tmp_path, capsys):
    assert gpu_all.main(["--out", str(tmp_path / "results")]) == 2
    assert capsys.readouterr().err == (
        "gpu_all: the NVIDIA driver answers CUDA_ERROR_NO_DEVICE (100): "
        "run this where nvidia-smi shows a GPU, or try it without by --dry-run\n"
    )
    assert not (tmp_path / "results").exists()


def test_the_file_of_a_network_is_written_once(setting):
    file = File(DOUBLE)
    path = files.onnx_of(file, setting)
    before = path.stat().st_mtime_ns
    assert files.onnx_of(file, setting).stat().st_mtime_ns == before
    assert [p.name for p in path.parent.iterdir()] == ["double-fp32.onnx"]
