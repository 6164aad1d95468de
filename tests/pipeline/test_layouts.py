"""SimAM of lines, volumes, tokens and maps with their channels last, to a proved file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from simam_deploy.pipeline.export import export_onnx
from simam_deploy.pipeline.inspect import inspect_onnx
from simam_deploy.pipeline.options import OnnxOptions
from simam_deploy.pipeline.validate import validate_models
from tests.graph.recognise.formula import formula
from tests.marks import slow

NOTHING = "x = Identity (image)"
LAYOUTS = {
    "line": ("n, 4, 200", NOTHING, "2", 199),
    "tokens": ("n, 200, 4", NOTHING, "1", 199),
    "volume": ("n, 4, 3, 8, 16", NOTHING, "2, 3, 4", 383),
    "channels last": ("n, 4, 8, 16", "x = Transpose <perm = [0, 2, 3, 1]> (image)", "1, 2", 127),
}
"""Shape of the input, what the map is made by, the axes of a plane, and n."""
BACK = {"channels last": "y = Transpose <perm = [0, 3, 1, 2]> (z)"}


def write(name: str, path: Path) -> Path:
    shape, made, axes, n = LAYOUTS[name]
    model = formula(
        source=f"float[{shape}] image",
        results=f"float[{shape}] y",
        opset=18,
        constants={
            "axes": f"int64[{axes.count(',') + 1}] axes = {{{axes}}}",
            "n": f"float n = {{{n}}}",
        },
        mean=f"{made} mean = ReduceMean (x, axes)",
        y=f"z = Mul (x, gate) {BACK.get(name, 'y = Identity (z)')}",
    )
    onnx.save(ir.to_proto(model), path)
    return path


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lowering": "flat"},
        *slow([{"lowering": "function"}, {"lowering": "instancenorm"}, {"precision": "fp16"}]),
    ],
    ids=["portable", "flat", "function", "instancenorm", "fp16"],
)
def test_a_map_of_another_layout_is_lowered_and_proved(name, options, tmp_path):
    source = write(name, tmp_path / "theirs.onnx")
    artifact = export_onnx(source, tmp_path / "ours.onnx", OnnxOptions(**options))
    assert [site.e_lambda for site in artifact.sites] == [0.1]
    assert artifact.validation.proved
    assert len(artifact.validation.gates) == 1
    assert [site.e_lambda for site in inspect_onnx(artifact.path).sites] == [0.1]
    ops = Counter(node.op_type for node in onnx.load(artifact.path).graph.node)
    assert ops["Transpose"] == (2 if name == "tokens" else 0), "what turns there and back is gone"
    if not options:
        assert validate_models(source, artifact.path).passed
        theirs = validate_models(artifact.path, source)
        assert theirs.passed, "their own file, gate by gate"
        assert len(theirs.gates) == 1


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_wrong_gate_of_another_layout_fails(name, tmp_path):
    right, wrong = (write(name, tmp_path / file) for file in ("right.onnx", "wrong.onnx"))
    proto = onnx.load(wrong)
    (lam,) = (i for i in proto.graph.initializer if i.name == "lam")
    lam.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(lam) * 2, "lam"))
    onnx.save(proto, wrong)
    report = validate_models(right, wrong)
    assert [gate.passed for gate in report.gates] == [False]
    assert "lambda is 0.2" in report.gates[0].reason


def test_what_is_no_plane_of_its_layout_is_named(tmp_path):
    source = write("channels last", tmp_path / "theirs.onnx")
    (site,) = inspect_onnx(source).sites
    assert site.written_as == "reduce-sum, channels last"
    assert site.fp16_std == pytest.approx((65504 / 127) ** 0.5)
