"""ONNX files that somebody else exported."""

import warnings

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from simam_deploy import (
    InputError,
    NetworkOptions,
    OnnxOptions,
    UsageError,
    export_onnx,
    inspect_onnx,
)
from simam_deploy.cli.export import main
from simam_deploy.runtime.onnx_runner import OnnxRunner
from tests.graph.recognise.formula import formula
from tests.source import detector


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """The detector from torch's old exporter, opset 13, batch and size free."""
    path = tmp_path_factory.mktemp("theirs") / "theirs.onnx"
    free = {0: "b", 2: "h", 3: "w"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            detector.make().eval(), (torch.zeros(2, 3, 64, 64),), path, dynamo=False,
            opset_version=13, input_names=["x"], output_names=["deep", "shallow"],
            dynamic_axes={"x": free, "deep": free, "shallow": free},
        )  # fmt: skip
    return path


def outputs(path, x):
    with OnnxRunner(path) as runner:
        return runner.run({"x": x})


@pytest.mark.parametrize("opset", [None, 17, 18, 20])
def test_lowered_anew_and_the_same(opset, theirs, tmp_path):
    artifact = export_onnx(theirs, tmp_path, onnx=OnnxOptions(opset=opset))
    assert len(artifact.sites) == 2
    assert artifact.opset == (opset or 13)
    for size in ((64, 64), (96, 160)):
        x = np.random.default_rng(0).standard_normal((2, 3, *size)).astype(np.float32)
        before, after = outputs(theirs, x), outputs(artifact.path, x)
        for name, array in before.items():
            np.testing.assert_allclose(after[name], array, atol=2e-6 * np.abs(array).max())
    nodes = [len(onnx.load(path).graph.node) for path in (theirs, artifact.path)]
    assert nodes[1] < nodes[0]


def test_ours_comes_out_as_it_went_in(digits, tmp_path):
    first = export_onnx(digits, tmp_path / "a.onnx")
    again = export_onnx(first.path, tmp_path / "b.onnx")
    assert [site.name for site in again.sites] == [site.name for site in first.sites]
    assert len(inspect_onnx(again.path).sites) == 9
    keys = [p.key for p in onnx.load(again.path).metadata_props]
    assert len(set(keys)) == len(keys)
    assert again.e_lambda == 1e-4
    count = [len(onnx.load(a.path).graph.node) for a in (first, again)]
    assert count[0] == count[1]


def test_it_never_overwrites_its_source(theirs):
    with pytest.raises(UsageError, match="would be overwritten"):
        export_onnx(theirs)


@pytest.mark.parametrize(
    "option", [{"e_lambda": 0.1}, {"dynamic": "hw"}, {"arch": "resnet18"}, {"input_names": ["a"]}]
)
def test_what_the_file_states_cannot_be_asked_for(option, theirs, tmp_path):
    with pytest.raises(UsageError, match="states its own"):
        export_onnx(theirs, tmp_path, network=NetworkOptions(**option))


def test_a_shape_for_validation(theirs, tmp_path):
    artifact = export_onnx(theirs, tmp_path, network=NetworkOptions(input_shape=(1, 3, 32, 64)))
    assert {r.case for r in artifact.validation.results} >= {"normal 1x3x32x64"}
    with pytest.raises(UsageError, match="does not fit input"):
        export_onnx(theirs, tmp_path, network=NetworkOptions(input_shape=(1, 4, 32, 64)))


def test_a_file_without_simam(tmp_path):
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[n,3,8,8] x) => (float[n,3,8,8] y) { y = Relu(x) }"""
    )
    onnx.save(proto, tmp_path / "relu.onnx")
    with pytest.raises(InputError, match="holds no SimAM: nothing comes near it"):
        export_onnx(tmp_path / "relu.onnx", tmp_path / "out.onnx")


def test_a_variance_that_floating_point_cancels_is_found_and_noted(tmp_path):
    shape = "float[n, 4, 16, 16]"
    model = formula(
        source=f"{shape} x",
        results=f"{shape} y",
        constants={"n": "float n = {255}", "hw": "float hw = {256}"},
        v="x2 = Mul (x, x) m2 = ReduceMean <axes = [2, 3]> (x2) mm = Mul (mean, mean) "
        "b = Sub (m2, mm) t = Mul (b, hw) v = Div (t, n)",
    )
    onnx.save(ir.to_proto(model), tmp_path / "theirs.onnx")
    (site,) = inspect_onnx(tmp_path / "theirs.onnx").sites
    assert site.written_as == "moments"
    assert "cancels" in site.hazards[0]
    artifact = export_onnx(tmp_path / "theirs.onnx", tmp_path / "ours.onnx")
    assert "which cancels in float32" in artifact.notes[0]
    assert artifact.validation.proved
    assert inspect_onnx(artifact.path).sites[0].written_as == "var"


@pytest.mark.parametrize("twentieths", range(20))
def test_truncated_is_one_line(twentieths, theirs, tmp_path, capsys):
    whole = theirs.read_bytes()
    source = tmp_path / "cut.onnx"
    source.write_bytes(whole[: len(whole) * twentieths // 20])
    assert main([str(source), "-q", "-o", str(tmp_path / "out.onnx")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["cut.onnx"]


def test_fused_nodes_are_sites_and_can_be_lowered_again(digits, tmp_path):
    fused = export_onnx(digits, tmp_path / "fused.onnx", onnx=OnnxOptions(lowering="function"))
    seen = inspect_onnx(fused.path)
    assert [site.written_as for site in seen.sites] == ["simam::SimAMResidualEpilogue"] * 9
    assert {site.e_lambda for site in seen.sites} == {1e-4}
    assert not seen.near_misses
    plain = export_onnx(fused.path, tmp_path / "plain.onnx")
    assert [site.name for site in plain.sites] == [site.name for site in fused.sites]
    assert not any(node.domain for node in onnx.load(plain.path).graph.node)
