"""Planted hazards: exactly the nodes that must stay in float32 are found."""

import json
import math

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy import ComparisonOptions, UsageError
from simam_deploy.cli.validate import main
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.typed import typed
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower.portable import lower_portable
from simam_deploy.pipeline.validate import validate_models
from simam_deploy.precision.half.half import half_nodes, to_half
from simam_deploy.verify.bisect import NOT_PRECISION, bisect, convert
from tests.graph.onnx_text import model
from tests.precision.half.graphs import BF16, FP16, draw

HAZARD = ["up2", "relu", "down1"]


def overflowing() -> ir.Model:
    """Values of 1e5 between `up2` and `down1`, by weights that half holds exactly."""
    graph = model(
        """<ir_version: 8, opset_import: ["" : 22, "simam" : 1]>
        g (float[n,4,9,9] x) => (float[n,4,9,9] y)
        <float[n,4,9,9] a, float[n,4,9,9] b> {
            [conv1] a = Conv<pads = [1, 1, 1, 1]>(x, w)
            [simam] b = simam.SimAM<e_lambda = 0.0001>(a)
            [up1] c = Mul(b, k300)
            [up2] d = Mul(c, k400)
            [relu] e = Relu(d)
            [down1] f = Mul(e, k256th)
            [down2] h = Mul(f, k512th)
            [conv2] i = Conv<pads = [1, 1, 1, 1]>(h, w)
            [last] y = Relu(i)
        }""",
        w=draw(4, 4, 3, 3) / 3,
        k300=np.float32(300).reshape(()),
        k400=np.float32(400).reshape(()),
        k256th=np.float32(2**-8).reshape(()),
        k512th=np.float32(2**-9).reshape(()),
    )
    lower_portable(graph)
    return graph


@pytest.fixture
def pair(tmp_path):
    write_model(overflowing(), tmp_path / "float32.onnx")
    write_model(convert(overflowing(), FP16, ()), tmp_path / "half.onnx")
    return tmp_path / "float32.onnx", tmp_path / "half.onnx"


def test_the_hazard_is_found_and_mended(pair, tmp_path, capsys):
    mended = tmp_path / "mended.onnx"
    assert main([*map(str, pair), "--bisect", "-o", str(mended), "--json"]) == 3
    streams = capsys.readouterr()
    found = json.loads(streams.out)["bisection"]
    assert found["kept"] == HAZARD
    assert found["minimal"] is True
    assert found["written"] == str(mended)
    assert "trial 3:" in streams.err
    report = validate_models(pair[0], mended)
    assert report.passed, report.failures
    manifest = json.loads(mended.with_suffix(".json").read_text())
    assert manifest["kept_in_float32"] == HAZARD
    assert {n.name: n.outputs[0].dtype for n in read_model(mended).graph}["conv2"] == FP16


def test_the_candidate_itself_stays_failed(pair):
    report = validate_models(*pair, options=ComparisonOptions(find_hazards=True))
    assert not report.passed
    assert "NaN or infinite" in report.failures[0]
    assert report.bisection.kept == tuple(HAZARD)


def test_each_of_them_is_needed(pair, tmp_path):
    for given_up in HAZARD:
        kept = [name for name in HAZARD if name != given_up]
        write_model(convert(overflowing(), FP16, kept), tmp_path / "less.onnx")
        assert not validate_models(pair[0], tmp_path / "less.onnx").passed


def test_bfloat16_has_no_such_hazard(pair, tmp_path):
    write_model(convert(overflowing(), BF16, ()), tmp_path / "bf16.onnx")
    assert validate_models(pair[0], tmp_path / "bf16.onnx").passed


def test_a_wrong_file_whose_conversion_would_be_right(tmp_path):
    """Nothing has to stay in float32: the file was just converted wrongly."""
    plain = model(
        """<ir_version: 8, opset_import: ["" : 22, "simam" : 1]>
        g (float[n,4,9,9] x) => (float[n,4,9,9] y)
        <float[n,4,9,9] a> { a = Conv<pads = [1, 1, 1, 1]>(x, w)
            b = simam.SimAM<e_lambda = 0.0001>(a) y = Relu(b) }""",
        w=draw(4, 4, 3, 3),
    )
    lower_portable(plain)
    write_model(plain, tmp_path / "plain.onnx")
    spoilt = convert(read_model(tmp_path / "plain.onnx"), FP16, ())
    conv = next(n for n in spoilt.graph if n.op_type == "Conv")
    conv.inputs[1].const_value = ir.tensor(2 * conv.inputs[1].const_value.numpy())
    write_model(spoilt, tmp_path / "spoilt.onnx")
    report = validate_models(
        tmp_path / "plain.onnx",
        tmp_path / "spoilt.onnx",
        options=ComparisonOptions(find_hazards=True),
    )
    assert report.bisection.kept == ()
    assert not report.bisection.reason
    assert report.bisection.trials == 2


def test_bisecting_float32_is_refused(pair):
    with pytest.raises(UsageError, match="this one is fp32"):
        validate_models(pair[0], pair[0], options=ComparisonOptions(find_hazards=True))


def chain(length: int = 64) -> ir.Model:
    steps = "".join(f"[n{i}] v{i + 1} = Relu(v{i}) " for i in range(length))
    return model(
        f"""<ir_version: 8, opset_import: ["" : 22]>
        g (float[4] v0) => (float[4] y) {{ {steps} y = Identity(v{length}) }}"""
    )


def needs(*names: str):
    def passes(graph: ir.Model) -> bool:
        kinds = {node.name: node.outputs[0].dtype for node in graph.graph}
        return all(kinds[name] == ir.DataType.FLOAT for name in names)

    return passes


@pytest.mark.parametrize(
    "hazard",
    [("n0",), ("n63",), ("n3", "n17", "n18"), tuple(f"n{i}" for i in range(20, 28))],
    ids=len,
)
def test_few_trials_find_a_minimal_set(hazard):
    told: list[str] = []
    found = bisect(chain, FP16, needs(*hazard), told.append)
    assert found.kept == hazard
    assert found.minimal
    assert found.of == 65
    k = len(hazard)
    assert len(told) == found.trials <= 2 * k * math.log2(65 / k) + 2 * k + 4


def test_spent_trials_give_the_best_so_far():
    found = bisect(chain, FP16, needs("n3", "n17", "n40"), lambda step: None, trials=8)
    assert found.trials == 8
    assert not found.minimal
    assert {"n3", "n17", "n40"} <= set(found.kept)
    assert len(found.kept) < 65


def test_what_float32_does_not_mend_is_no_matter_of_precision():
    found = bisect(chain, FP16, lambda graph: False, lambda step: None)
    assert (found.kept, found.reason, found.trials) == ((), NOT_PRECISION, 1)


def test_a_node_to_keep_must_be_there():
    with pytest.raises(UsageError, match="no node elsewhere"):
        to_half(typed(chain()), FP16, keep=["n3", "elsewhere"])


def test_what_is_kept_is_what_was_offered():
    names = half_nodes(typed(chain(4)), FP16)
    graph = typed(chain(4))
    halved = to_half(graph, FP16, keep=names)
    assert halved.nodes == halved.casts == 0
