"""What a report gathers: its files, what lies beside, what is given, and what cannot be used."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from simam_deploy import NetworkOptions, OnnxOptions, export_onnx
from simam_deploy.core.manifest import find_manifest, write_manifest
from simam_deploy.errors import InputError, UsageError
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.prepare import plain
from simam_deploy.op import contract
from simam_deploy.pipeline.report import Files, Found, gather, sort_files
from tests.graph.onnx_text import model, simam_model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A network of two sites, in fp32 and fp16, with a stranger's file beside."""
    folder = tmp_path_factory.mktemp("exported")
    drawn = np.random.default_rng(0)
    weights = {f"w{i}": drawn.standard_normal((3, 3, 3, 3)).astype(np.float32) for i in range(2)}
    nodes = """a = Conv<pads = [1, 1, 1, 1]>(x, w0)
        [first] b = simam.SimAM<e_lambda = 0.1>(a)
        c = Conv<pads = [1, 1, 1, 1]>(b, w1)
        [second] d = simam.SimAM<e_lambda = 0.1>(c)
        y = Add(d, b)"""
    text = f"""<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[n,3,12,12] x) => (float[n,3,12,12] y) {{ {nodes} }}"""
    source = folder / "source" / "theirs.onnx"
    source.parent.mkdir()
    write_model(plain(model(text, **weights)), source)
    for precision in ("fp32", "fp16"):
        asked = OnnxOptions(precision=None if precision == "fp32" else precision)
        export_onnx(source, folder / f"net-{precision}.onnx", asked)
    write_model(plain(simam_model("n,3,8,8")), folder / "stranger.onnx")
    return folder


@pytest.fixture
def own(exported, tmp_path):
    """A copy of the folder, to be changed."""
    return Path(shutil.copytree(exported, tmp_path / "own"))


def test_the_first_onnx_is_what_it_is_about():
    paths = [Path(name) for name in ("m.pth", "b.onnx", "a.onnx", "p.engine", "bench.json")]
    files = sort_files(paths, Path("cat.jpg"))
    assert files == Files(
        Path("b.onnx"), (Path("a.onnx"),), (Path("p.engine"),), Path("bench.json"),
        Path("m.pth"), Path("cat.jpg"),
    )  # fmt: skip
    assert sort_files([Path("p.engine")]).artifact == Path("p.engine")


@pytest.mark.parametrize(
    ("names", "says"),
    [(["m.pth"], "an .onnx or a plan"), (["a.onnx", "m.pth", "n.pt"], "2 sources"),
     (["a.onnx", "a.json", "b.json"], "2 reports")],
)  # fmt: skip
def test_what_cannot_be_told_is_refused(names, says):
    with pytest.raises(UsageError, match=says):
        sort_files([Path(name) for name in names])


def test_it_finds_the_other_precision_beside_and_no_stranger(exported):
    found = gather(Files(exported / "net-fp32.onnx"))
    assert [v.path.name for v in found.variants] == ["net-fp32.onnx", "net-fp16.onnx"]
    assert [v.precision for v in found.variants] == ["fp32", "fp16"]
    assert [h.name for h in found.variants[1].histograms] == ["first", "second"]
    assert all(check.passed for v in found.variants for check in v.checks)
    assert [check.allowed_ulps > 8 for check in found.gates] == [True, True]  # float32's own
    assert found.validation["outputs"][0]["output"] == "y"
    assert found.drawing.inspection.sites[0].name == "first"
    assert found.facts["source"]["file"] == "theirs.onnx"


def test_gates_are_those_of_the_files_on_one_input(exported):
    """The fp16 file's are its own: near the float32 ones, and not them."""
    float32, half = gather(Files(exported / "net-fp32.onnx")).variants
    for a, b in zip(float32.histograms, half.histograms, strict=True):
        assert a.low >= contract.GATE_FLOOR - 1e-6
        assert abs(a.high - b.high) < 2e-2
        assert a.mean != b.mean


def test_a_file_without_a_manifest_is_looked_into_all_the_same(exported):
    found = gather(Files(exported / "stranger.onnx"))
    assert (found.facts, found.validation) == ({}, {})
    assert [v.path.name for v in found.variants] == ["stranger.onnx"]
    assert len(found.gates) == 1


def test_a_source_is_held_against_it_anew(exported):
    source = exported / "source" / "theirs.onnx"
    found = gather(Files(exported / "net-fp16.onnx", source=source))
    assert found.compared.startswith("ONNX Runtime")
    assert found.validation["precision"] == "fp16"
    assert {check.allowed_ulps for check in found.gates} == {0.55}


def test_what_is_known_is_not_found_again(exported, monkeypatch):
    known = gather(Files(exported / "net-fp16.onnx", source=exported / "source" / "theirs.onnx"))
    monkeypatch.setattr("simam_deploy.pipeline.report.validate_models", pytest.fail)
    report = _report(exported)
    found = gather(Files(exported / "net-fp16.onnx"), found=Found(report))
    assert found.gates == report.gates
    assert found.validation["max_rel"] == pytest.approx(known.validation["max_rel"])


def _report(folder):
    from simam_deploy import validate_models

    return validate_models(folder / "source" / "theirs.onnx", folder / "net-fp16.onnx").validation


def test_a_damaged_sibling_is_left_out(own):
    (own / "net-fp16.json").write_text("{")
    assert len(gather(Files(own / "net-fp32.onnx")).variants) == 1


def test_a_site_with_another_lambda_is_seen(own):
    """Ten times lambda, as its own manifest does not say."""
    file = own / "net-fp16.onnx"
    proto = onnx.load(file)
    for tensor in proto.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.size == 1 and np.isclose(array, 0.1, rtol=0.02):
            tensor.CopyFrom(onnx.numpy_helper.from_array(array * 10, tensor.name))
    onnx.save(proto, file)
    write_manifest(file, [file], find_manifest(file))
    found = gather(Files(own / "net-fp32.onnx")).variants[1]
    assert any("lambda is 1" in check.reason or not check.passed for check in found.checks)


@pytest.mark.parametrize("change", ["cut", "gone", "manifest", "text"])
def test_what_cannot_be_used_is_one_line(own, change):
    file = own / "net-fp32.onnx"
    if change == "cut":
        file.write_bytes(file.read_bytes()[:-9])
    elif change == "gone":
        file.unlink()
    elif change == "manifest":
        document = json.loads((own / "net-fp32.json").read_text())
        (own / "net-fp32.json").write_text(json.dumps({**document, "notes": 3}))
    else:
        (own / "net-fp32.json").unlink()
        file.write_text("no model")
    with pytest.raises(InputError) as caught:
        gather(Files(file))
    assert "\n" not in str(caught.value)


def test_a_shape_that_does_not_fit_is_refused(exported):
    with pytest.raises(UsageError, match="does not fit"):
        gather(Files(exported / "net-fp32.onnx"), NetworkOptions(input_shape=(1, 4, 12, 12)))


def test_a_file_that_cannot_be_run_says_why_and_is_drawn(own):
    """Its batch is written in: it takes 2, and a single row is what it is shown."""
    file = own / "stranger.onnx"
    text = """<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[n,3,8,8] x) => (float[m,3,8,8] y) <int64[4] s = {2, 3, 8, 8}> {
        a = Reshape(x, s)
        [site] y = simam.SimAM<e_lambda = 0.1>(a) }"""
    write_model(plain(model(text)), file)
    found = gather(Files(file))
    (variant,) = found.variants
    assert "eshape" in variant.reason
    assert found.gates == ()
    assert len(found.drawing.outline.rows) == 1
