"""Real TensorRT-RTX plans, which build without a GPU."""

import json

import onnx
import pytest

from simam_deploy import SimamError
from simam_deploy.cli.build import main
from simam_deploy.cli.doctor import main as doctor
from simam_deploy.core.files import sha256_of
from simam_deploy.core.manifest import manifest_path, write_manifest
from simam_deploy.engine.build.prepare import recognise_file
from simam_deploy.engine.options import EngineOptions
from simam_deploy.engine.plan.preflight import check_plan
from simam_deploy.errors import EngineError, InputError, UsageError
from simam_deploy.graph.file.write import write_model
from simam_deploy.op import find
from simam_deploy.pipeline import build as steps
from simam_deploy.pipeline.build import build
from tests.engine.conftest import write_onnx
from tests.graph.onnx_text import simam_model

pytest.importorskip(
    "tensorrt_rtx", reason="TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'"
)


@pytest.fixture(autouse=True)
def without_a_plugin(monkeypatch, tmp_path_factory):
    """Whether or not one was built here: tests/plugins has the plans with it."""
    monkeypatch.setattr(find, "_BUILT", tmp_path_factory.mktemp("built"))


def rtx(source, output, **options):
    return build(source, output, EngineOptions(backend="rtx", **options))


def test_the_command(digits_onnx, tmp_path, capsys):
    output = tmp_path / "digits.engine"
    command = [digits_onnx, "-o", output, "--precision", "fp16", "--target", "sm86,sm89", "-q"]
    assert main([*map(str, command), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["flavour"] == "tensorrt_rtx"
    assert document["targets"] == ["sm86", "sm89"]
    assert document["profiles"] == [
        [{"name": "input", "min": [1, 3, 32, 32], "opt": [8, 3, 32, 32], "max": [32, 3, 32, 32]}]
    ]
    assert document["e_lambda"] == 1e-4
    assert document["lowering"] == "wide"
    audit = document["audit"]
    assert (audit["asked"], set(audit["graph"]), set(audit["built"])) == (
        "fp16",
        {"fp16"},
        {"fp16"},
    )
    assert audit["sites"] == 9
    assert 3 <= audit["fused"] <= 9
    assert audit["launches"] <= 45
    assert audit["plugins"] == 0
    assert document["peak_memory"] > 50e6
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "digits.engine",
        "digits.engine.json",
        "digits.engine.log",
    ]
    assert main([*map(str, command)]) == 0
    table = capsys.readouterr().out
    assert "fp16 asked, the graph has 22 products in fp16, the plan 21 products in fp16" in table
    assert "from the cache" in table


def test_the_manifest_states_what_was_built(digits_onnx, tmp_path):
    artifact = rtx(digits_onnx, tmp_path / "d.engine", targets=("sm89",))
    document = json.loads(artifact.manifest_path.read_text())
    plan = artifact.path
    assert document["files"] == [
        {"name": "d.engine", "size": plan.stat().st_size, "sha256": sha256_of(plan)}
    ]
    assert document["arch"] == "cifar_preresnet20"
    assert document["command"] == (
        f"simam-build {digits_onnx.name} -o d.engine --backend rtx --target sm89"
    )
    assert document["source"]["sha256"] == sha256_of(digits_onnx)
    assert document["exported_from"]["file"] == "model_best.pth.tar"
    launches = {each["lowering"]: each["launches"] for each in document["candidates"]}
    assert list(launches) == ["wide", "portable"]
    assert artifact.audit.launches == launches["wide"] < launches["portable"]
    assert artifact.notes[-1].startswith(f"wide kept: wide {launches['wide']} launches, portable")
    assert document["onnx_validation"]["passed"] is True
    assert document["validation"]["passed"] is None
    assert document["plugin"] is None
    assert check_plan(plan, None, lambda flavour: None) == document
    assert plan.read_bytes()[:4] == b"vtrt"  # nothing before what the library wrote


def test_a_graph_is_recognised_once_for_all_its_candidates(digits_onnx, tmp_path, monkeypatch):
    read = []

    def recognise(*given):
        read.append(given)
        return recognise_file(*given)

    monkeypatch.setattr(steps, "recognise_file", recognise)
    artifact = rtx(digits_onnx, tmp_path / "d.engine", targets=("sm89",), cache=False)
    assert len(json.loads(artifact.manifest_path.read_text())["candidates"]) == 2
    assert len(read) == 1


def test_of_free_sides_flat_is_tried_beside_wide(tmp_path):
    onnx = tmp_path / "m.onnx"
    write_model(simam_model("n,4,h,w"), onnx)
    shapes = {f"{end}_shapes": ({"x": (1, 4, side, 16)},) for end, side in SIDES.items()}
    artifact = rtx(onnx, tmp_path / "m.engine", targets=("sm89",), **shapes)
    told = [each["lowering"] for each in artifact.candidates]
    assert told == ["wide", "flat", "portable"]


SIDES = {"min": 8, "opt": 16, "max": 16}


def test_a_form_is_written_alike_whatever_was_written_before(digits_onnx, tmp_path):
    recognised = recognise_file(digits_onnx)
    files = [tmp_path / f"{n}.onnx" for n in range(3)]
    told = [
        recognised.write(file, form)
        for file, form in zip(files, ("wide", "portable", "wide"), strict=True)
    ]
    wide, portable, again = (file.read_bytes() for file in files)
    assert wide == again != portable
    assert told[0] == told[2] == {**told[1], "lowering": "wide"}


def test_static_builds_are_the_same_bytes(tmp_path):
    onnx = write_onnx(tmp_path / "m.onnx", inputs="float[2,4,8,8] x")
    first, second = (
        rtx(onnx, tmp_path / f"{n}.engine", targets=("sm89",), cache=False) for n in "ab"
    )
    assert not second.cached
    assert first.profiles == ()
    assert first.path.read_bytes() == second.path.read_bytes()


def test_a_second_identical_build_comes_from_the_cache(digits_onnx, tmp_path):
    first = rtx(digits_onnx, tmp_path / "a.engine", targets=("sm89",))
    second = rtx(digits_onnx, tmp_path / "b.engine", targets=("sm89",))
    assert (first.cached, second.cached) == (False, True)
    assert first.path.read_bytes() == second.path.read_bytes()
    told = [json.loads(made.manifest_path.read_text())["candidates"] for made in (first, second)]
    assert told[0] == told[1]
    assert [each["lowering"] for each in told[1]] == ["wide", "portable"]
    assert check_plan(second.path, None, lambda flavour: None)["files"][0]["name"] == "b.engine"


@pytest.mark.parametrize(
    "change",
    [
        {"targets": ("sm86",)},
        {"tf32": True},
        {"workspace": 100},
        {"opt_shapes": ({"input": (4, 3, 32, 32)},)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_option_is_another_plan(change, tmp_path, cache):
    onnx = write_onnx(tmp_path / "m.onnx")
    profile = {"opt_shapes": ({"x": (4, 4, 8, 8)},)} if "opt_shapes" in change else {}
    rtx(onnx, tmp_path / "a.engine", targets=("sm89",))
    second = rtx(onnx, tmp_path / "b.engine", **{"targets": ("sm89",), **change, **profile})
    assert not second.cached


def test_another_graph_is_another_plan(tmp_path):
    onnx = write_onnx(tmp_path / "m.onnx")
    rtx(onnx, tmp_path / "a.engine")
    write_onnx(onnx, "c = Conv(x, w) y = Relu(c)")
    assert not rtx(onnx, tmp_path / "b.engine").cached


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:99] + b"?" + b[100:]])
def test_a_damaged_cache_entry_is_built_anew(damage, tmp_path, cache):
    onnx = write_onnx(tmp_path / "m.onnx")
    first = rtx(onnx, tmp_path / "a.engine")
    (kept,) = cache.glob("*/plan.engine")
    kept.write_bytes(damage(kept.read_bytes()))
    second = rtx(onnx, tmp_path / "b.engine")
    assert not second.cached
    assert sha256_of(kept) == sha256_of(second.path)
    assert first.size == second.size


def test_a_plan_that_was_replaced_with_its_hash_is_not_taken(tmp_path, cache):
    """Another plan of ours, sealed as the first one is: its hash is right, its audit is not."""
    first, second = write_onnx(tmp_path / "m.onnx"), tmp_path / "two.onnx"
    write_onnx(second, "c = Conv(x, w) d = Relu(c) y = Conv(d, w)")
    rtx(first, tmp_path / "a.engine")
    other = rtx(second, tmp_path / "b.engine", cache=False)
    (kept,) = cache.glob("*/plan.engine")
    document = json.loads(manifest_path(kept).read_text())
    kept.write_bytes(other.path.read_bytes())
    write_manifest(kept, [kept], document)
    again = rtx(first, tmp_path / "c.engine")
    assert not again.cached
    assert again.path.read_bytes() != other.path.read_bytes()
    assert again.notes[-1].startswith("built anew, for what the cache held was not taken: the plan")
    assert rtx(first, tmp_path / "d.engine").cached


def test_an_entry_that_others_can_write_to_is_not_taken(tmp_path, cache, capsys):
    onnx = write_onnx(tmp_path / "m.onnx")
    rtx(onnx, tmp_path / "a.engine")
    (kept,) = cache.glob("*/plan.engine")
    assert doctor(["--cache"]) == 0
    assert "last taken" in capsys.readouterr().out
    kept.parent.chmod(0o777)
    assert doctor(["--cache"]) == 0
    assert "--" in (told := capsys.readouterr().out)
    assert "others can write to" in told
    again = rtx(onnx, tmp_path / "b.engine")
    assert not again.cached
    assert f"was not taken: others can write to {kept.parent}" in again.notes[-1]
    assert rtx(onnx, tmp_path / "c.engine").cached


def test_a_cache_that_cannot_be_written_costs_nothing_but_a_note(tmp_path, monkeypatch):
    """/proc takes no files from anyone, root included."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    artifact = rtx(write_onnx(tmp_path / "m.onnx"), tmp_path / "m.engine")
    (note,) = (n for n in artifact.notes if "cache" in n)
    assert note.startswith("built without the cache /proc/simam-deploy/engines: ")
    assert artifact.path.exists()


@pytest.mark.slow
def test_a_checkpoint_is_exported_first(digits, tmp_path):
    artifact = rtx(digits, tmp_path / "d.engine", precision="fp16", targets=("sm80",))
    assert artifact.audit.sites == 9
    assert artifact.audit.built.keys() == {"fp16"}
    assert "model_best.pth.tar" in json.loads(artifact.manifest_path.read_text())["command"]
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".engine", ".json", ".log"]


@pytest.mark.parametrize("keep_io", [True, False])
def test_what_goes_in_and_out(keep_io, digits_onnx, tmp_path):
    artifact = rtx(digits_onnx, tmp_path / "d.engine", precision="fp16", keep_io=keep_io)
    wanted = "float32" if keep_io else "float16"
    assert [s.dtype for s in (*artifact.inputs, *artifact.outputs)] == [wanted] * 2


@pytest.mark.parametrize("target", ["sm80", "sm86", "sm89", "sm120"])
def test_every_target(target, tmp_path):
    artifact = rtx(write_onnx(tmp_path / "m.onnx"), tmp_path / "m.engine", targets=(target,))
    assert artifact.targets == (target,)


def test_a_target_that_is_not_known(tmp_path):
    with pytest.raises(UsageError, match=r"does not build for sm90, only current, sm75, sm80"):
        rtx(write_onnx(tmp_path / "m.onnx"), tmp_path / "m.engine", targets=("sm90",))
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_several_profiles(digits_onnx, tmp_path):
    shapes = [{"input": (n, 3, 32, 32)} for n in (1, 16)]
    artifact = rtx(digits_onnx, tmp_path / "d.engine", opt_shapes=tuple(shapes))
    assert [p[0].opt[0] for p in artifact.profiles] == [1, 16]


def test_a_graph_without_simam_is_built_as_it_is(tmp_path):
    artifact = rtx(write_onnx(tmp_path / "m.onnx"), tmp_path / "m.engine")
    assert artifact.notes == ("no SimAM was found: the graph is built as it is",)
    assert artifact.lowering == "as in the file"


def test_a_half_file_stays_half_and_its_simam_is_lowered_anew(digits_onnx, tmp_path):
    half = half_of(digits_onnx, tmp_path / "half.onnx")
    artifact = rtx(half, tmp_path / "d.engine", targets=("sm89",))
    assert artifact.precision == "fp16"
    assert artifact.audit.sites == 9
    assert artifact.lowering == "wide"
    with pytest.raises(InputError, match=r"half\.onnx is fp16 already"):
        rtx(half, tmp_path / "e.engine", precision="fp32")


def half_of(source, path):
    import onnx_ir as ir

    from simam_deploy.graph.file.read import read_model
    from simam_deploy.graph.file.write import write_model
    from simam_deploy.precision.half.half import to_half

    model = read_model(source)
    to_half(model, ir.DataType.FLOAT16)
    write_model(model, path)
    return path


def test_int8_wants_a_quantised_file_or_samples(digits_onnx, tmp_path):
    with pytest.raises(UsageError, match="int8 wants samples"):
        rtx(digits_onnx, tmp_path / "d.engine", precision="int8")


def write_quantised(source, precision):
    """A convolution of eight bits, weights of ones."""
    kind = {"int8": onnx.TensorProto.INT8, "fp8": onnx.TensorProto.FLOAT8E4M3FN}[precision]
    model = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 19]>
        g (float[1,16,8,8] x) => (float[1,16,8,8] y) <float s = {0.1}, float t = {0.01}>
        { q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z)
          r = DequantizeLinear(w, t, z) y = Conv(d, r) }"""
    )
    one = {"int8": b"\x01", "fp8": b"\x38"}[precision]
    for name, dims, raw in (("w", [16, 16, 1, 1], 256 * one), ("z", [], b"\x00")):
        model.graph.initializer.add(name=name, dims=dims, data_type=kind).raw_data = raw
    source.write_bytes(model.SerializeToString())


@pytest.mark.parametrize("precision", ["int8", "fp8"])
def test_a_quantised_convolution_is_built_as_such(precision, tmp_path):
    """The plan's listing shows eight bits going in."""
    write_quantised(tmp_path / "q.onnx", precision)
    artifact = rtx(tmp_path / "q.onnx", tmp_path / "q.engine", targets=("sm89",))
    assert artifact.precision == precision
    assert dict(artifact.audit.graph) == dict(artifact.audit.built) == {precision: 1}


def test_a_file_in_fp8_is_not_built_for_gpus_without_it(tmp_path):
    write_quantised(tmp_path / "q.onnx", "fp8")
    with pytest.raises(UsageError, match="from sm89 on, not for sm80, sm86: leave these out"):
        rtx(tmp_path / "q.onnx", tmp_path / "q.engine", targets=("sm80", "sm86", "sm120"))
    assert [p.name for p in tmp_path.iterdir()] == ["q.onnx"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"timing_cache": "t"}, "leave the file of timings out"),
        ({"precision": "fp4"}, "the precision must be fp32, fp16, bf16, int8, fp8;"),
        (
            {"precision": "fp8", "targets": ("sm86", "sm89"), "calibration_data": "x"},
            "FP8 is for GPUs from sm89 on, not for sm86: leave these out",
        ),
        ({"backend": "rtx", "opt_shapes": ({"z": (1,)},)}, "there is no input 'z', only x"),
        ({"opt_shapes": ({"x": (1, 4, 8, 9)},)}, "shape 1x4x8x9 does not fit input x float32 n x"),
        ({"min_shapes": ({"x": (1, 4, 8, 8)},)}, "go with shapes to tune for"),
        (
            {"opt_shapes": ({"x": (1, 4, 8, 8)},), "min_shapes": ({"x": (2, 4, 8, 8)},)},
            "min <= opt <= max is wanted",
        ),
    ],
)
def test_options_that_do_not_fit(options, says, tmp_path):
    onnx = write_onnx(tmp_path / "m.onnx")
    with pytest.raises(UsageError, match=says):
        build(onnx, tmp_path / "m.engine", EngineOptions(**{"backend": "rtx", **options}))
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_an_output_of_another_kind(tmp_path):
    with pytest.raises(UsageError, match=r"must be named \.engine, \.plan or \.trt"):
        rtx(write_onnx(tmp_path / "m.onnx"), tmp_path / "m.onnx")


def test_a_plugin_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"there is no plugin .*/nowhere\.so"):
        rtx(write_onnx(tmp_path / "m.onnx"), tmp_path / "m.engine", plugin="nowhere.so")


@pytest.mark.parametrize("plugin", ["aot", "kernels.ptx"])
def test_rtx_has_no_ahead_of_time_plugins(tmp_path, plugin):
    with pytest.raises(UsageError, match="no ahead-of-time plugins: take TensorRT"):
        rtx(write_onnx(tmp_path / "m.onnx"), tmp_path / "m.engine", plugin=plugin)


def test_kernels_that_are_not_there(fakes, tmp_path):
    fakes.setenv("SIMAM_PLUGIN", str(tmp_path))
    options = EngineOptions(backend="tensorrt", plugin="aot")
    with pytest.raises(EngineError, match="no kernels to put into a plan: .*scripts/build_plugin"):
        build(write_onnx(tmp_path / "m.onnx"), tmp_path / "m.engine", options)


def test_an_unknown_op(tmp_path):
    onnx = write_onnx(tmp_path / "m.onnx", "y = Strange(x)")
    with pytest.raises(SimamError) as caught:
        rtx(onnx, tmp_path / "m.engine")
    assert "Strange" in str(caught.value)
    assert "m.onnx" in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_a_plan_is_no_source(digits_onnx, tmp_path):
    plan = rtx(digits_onnx, tmp_path / "d.engine").path
    with pytest.raises(InputError, match="no ONNX model but a TensorRT-RTX plan"):
        rtx(plan.rename(tmp_path / "d.onnx"), tmp_path / "e.engine")
    assert not manifest_path(tmp_path / "e.engine").exists()
