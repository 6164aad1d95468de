"""The library's interface as this package uses it, on the recorded bindings and on a real one."""

import json
from pathlib import Path

import pytest

from simam_deploy.core.specs import ShapeRange
from simam_deploy.engine.build import events
from simam_deploy.engine.build.compile import compile_plan
from simam_deploy.engine.flavours.choose import FLAVOURS, choose_flavour, load_library
from simam_deploy.engine.request import BuildRequest
from simam_deploy.errors import EngineError, UsageError
from simam_deploy.runtime.gpu import find_gpus
from tests.engine.conftest import RECORDED, write_onnx

PROFILE = (ShapeRange("x", (1, 4, 8, 8), (2, 4, 8, 8), (4, 4, 8, 8)),)


def compiled(folder, **options):
    options = {"profiles": (PROFILE,), **options}
    onnx = options.pop("onnx", None) or write_onnx(folder / "m.onnx")
    request = BuildRequest(onnx, folder / "m.engine", "tensorrt", **options)
    steps = []
    done = compile_plan(request, folder / "m.engine", folder / "m.log", steps.append)
    return done, steps


def facts(folder):
    return json.loads((folder / "m.engine").read_bytes().removeprefix(b"ftrt"))


@pytest.fixture
def gpu_or_fake(tensorrt):
    if not hasattr(tensorrt, "_RECORDED") and not find_gpus().devices:
        pytest.skip("TensorRT builds on a GPU, and there is none")
    return tensorrt


def test_a_build(gpu_or_fake, tmp_path):
    done, steps = compiled(tmp_path, workspace=64)
    assert done.version == gpu_or_fake.__version__
    assert done.peak_memory > 10e6
    assert 0 < done.seconds < 600
    assert (tmp_path / "m.engine").read_bytes()[:4] == b"ftrt"
    assert "building the engine" in steps


@pytest.fixture(params=RECORDED)
def fake(request, fakes):
    fakes.setenv("FAKE_TENSORRT", request.param)
    return fakes


def test_what_the_library_is_told(fake, tmp_path):
    done, steps = compiled(tmp_path, workspace=64)
    told = facts(tmp_path)
    assert told["flags"] == []  # TF32 is cleared
    assert told["pools"] == {"WORKSPACE": 64 << 20}
    assert told["profiles"] == [
        {"x": [list(s) for s in ((1, 4, 8, 8), (2, 4, 8, 8), (4, 4, 8, 8))]}
    ]
    assert told["verbosity"] == "DETAILED"
    assert done.warnings == ("a warning of the library",)
    assert "WARNING: a warning of the library" in (tmp_path / "m.log").read_text()
    assert steps == ["building the engine", "building the engine: Timing"]


def test_tf32_stays_on_where_it_is_asked_for(fake, tmp_path):
    compiled(tmp_path, tf32=True)
    assert facts(tmp_path)["flags"] == ["TF32"]


def test_a_set_of_targets_is_hardware_compatibility(fake, tmp_path):
    compiled(tmp_path, targets=("sm80", "sm86"))
    levels = json.loads(
        (Path(__file__).parents[1] / "bindings" / f"{RECORDED[-1]}.json").read_text()
    )["enums"]["HardwareCompatibilityLevel"]
    assert facts(tmp_path)["level"] == levels.index("AMPERE_PLUS")


@pytest.mark.parametrize("targets", [("sm89",), ("sm75", "sm80"), ("current", "sm80")])
def test_targets_that_tensorrt_cannot_build_for(targets):
    request = BuildRequest(Path("m.onnx"), Path("m.engine"), "tensorrt", targets=targets)
    with pytest.raises(UsageError, match="or TensorRT-RTX"):
        FLAVOURS["tensorrt"].check(request)


def test_timings_are_read_and_added_to(fake, tmp_path):
    cache = tmp_path / "timings"
    compiled(tmp_path, timing_cache=cache)
    assert cache.read_bytes() == b"+timed"
    compiled(tmp_path, timing_cache=cache)
    assert cache.read_bytes() == b"+timed+timed"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.engine", "m.log", "m.onnx", "timings"]


def test_the_plan_carries_the_plugin(fake, tmp_path):
    plugin = tmp_path / "libsimam.so"
    plugin.write_bytes(b"plugin")
    compiled(tmp_path, plugin=plugin)
    assert facts(tmp_path)["plugins"] == [str(plugin)]


def test_a_plugin_that_does_not_load(fake, tmp_path):
    plugin = tmp_path / "libsimam.so"
    plugin.write_bytes(b"other")
    with pytest.raises(EngineError, match=r"libsimam\.so does not load in TensorRT 1"):
        compiled(tmp_path, plugin=plugin)


def test_a_file_that_holds_no_kernels(fake, tmp_path):
    plugin = tmp_path / "simam_aot.ptx"
    plugin.write_bytes(b"plugin")  # which would do for a library
    with pytest.raises(EngineError, match=r"the kernels hold no entry SimAM_FP32_LINEAR"):
        compiled(tmp_path, plugin=plugin)


def test_a_node_that_is_not_known(fake, tmp_path):
    onnx = write_onnx(tmp_path / "m.onnx", "y = foo.Strange(x)")
    words = r"does not take m.onnx at node x \(Strange\): no importer for node x \(and 1 more\)"
    with pytest.raises(EngineError, match=words):
        compiled(tmp_path, onnx=onnx)


def test_a_build_that_gives_nothing_quotes_the_library(fake, tmp_path):
    fake.setenv("FAKE_BUILD", "none")
    with pytest.raises(EngineError, match=r"could not build the engine: Error Code 10: no impl"):
        compiled(tmp_path)


def test_a_build_that_aborts_its_process(fake, tmp_path):
    fake.setenv("FAKE_BUILD", "abort")
    with pytest.raises(EngineError, match=r"by signal SIGABRT while it built: terminate called"):
        compiled(tmp_path)


@pytest.mark.parametrize("told", ["{", '{"event": "warning", "value": "half of a wo', "x" * 5000])
def test_a_build_that_ends_in_the_middle_of_a_line(told, fake, tmp_path):
    fake.setenv("FAKE_BUILD", "tell and abort")
    fake.setenv("FAKE_TOLD", told)
    with pytest.raises(EngineError, match=r"ended its process by signal SIGABRT while it built"):
        compiled(tmp_path)


@pytest.mark.parametrize(
    "told",
    [
        "loading library\n",
        "\n",
        "[]\n",
        "7\n",
        '{"event": "sneeze", "value": ""}\n',
        '{"event": ["step"], "value": ""}\n',
        '{"event": "step"}\n',
        '{"event": "step", "value": 1}\n',
        '{"event": "done", "value": null}\n',
        '{"event": "done", "value": {"version": "1", "peak_memory": 1}}\n',
        '{"event": "error", "value": "no"}\n',
        "[" * 100_000 + "\n",
        "\u00e9\n",
    ],
)
def test_a_line_that_is_no_event_ends_the_build(told, fakes, tmp_path):
    fakes.setenv("FAKE_BUILD", "tell")
    fakes.setenv("FAKE_TOLD", told)
    with pytest.raises(EngineError, match=r"the building process told '.*, which is no event"):
        compiled(tmp_path)


def test_a_line_without_end_is_not_read_to_it(fakes, tmp_path):
    fakes.setattr(events, "LARGEST", 1000)
    fakes.setenv("FAKE_BUILD", "tell")
    fakes.setenv("FAKE_TOLD", "x" * 1001)
    with pytest.raises(EngineError, match=r"told a line of more than 1000 bytes"):
        compiled(tmp_path)


def test_what_the_library_shouts_is_no_event(fakes, tmp_path):
    """Ten thousand lines, not JSON and not UTF-8, and then a plan."""
    fakes.setenv("FAKE_BUILD", "shout")
    done, _ = compiled(tmp_path)
    assert done.version
    assert (tmp_path / "m.engine").exists()


def test_the_fake_refuses_what_the_bindings_lack(fakes):
    fakes.setenv("FAKE_TENSORRT", "tensorrt-11.4.0.106")
    trt = load_library(FLAVOURS["tensorrt"])
    with pytest.raises(AttributeError):
        trt.IBuilderConfig().int8_calibrator = None
    with pytest.raises(AttributeError):
        trt.BuilderFlag.FP16  # noqa: B018 - gone in 11
    with pytest.raises(TypeError, match="incompatible"):
        trt.IBuilderConfig().set_memory_pool_limit(1)


@pytest.mark.parametrize(
    ("version", "fits"), [("10.8.9", 0), ("10.9.0", 1), ("11.9", 1), ("12.0", 0)]
)
def test_versions(version, fits, fakes):
    import tensorrt

    fakes.setattr(tensorrt, "__version__", version)
    if fits:
        assert load_library(FLAVOURS["tensorrt"]) is tensorrt
    else:
        with pytest.raises(EngineError, match=r"10\.9 or newer, below 12\.0 is supported"):
            load_library(FLAVOURS["tensorrt"])


def test_a_stub_without_its_libraries(fakes, tmp_path):
    """NVIDIA's package on PyPI, where its own index is out of reach."""
    (tmp_path / "tensorrt.py").write_text(
        "raise OSError('libnvinfer.so.11: cannot open shared object file')"
    )
    fakes.syspath_prepend(tmp_path)
    with pytest.raises(EngineError, match=r"without its libraries \(libnvinfer.so.11"):
        load_library(FLAVOURS["tensorrt"])


def test_the_choice_of_a_flavour(fakes):
    assert choose_flavour("auto", gpu=True).name == "tensorrt"
    assert choose_flavour("rtx", gpu=True).name == "tensorrt_rtx"
    with pytest.raises(UsageError, match="the backend must be auto, tensorrt or rtx"):
        choose_flavour("trt", gpu=True)


def test_a_folder_of_the_librarys_name_is_not_the_library(fake, tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('the working directory was searched')")
    monkeypatch.chdir(tmp_path)
    compiled(tmp_path)
