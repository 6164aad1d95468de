"""A graph in blocks computes what the file computes, or is not given away."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from simam_deploy.graph import nchwc
from simam_deploy.op.find import OPERATORS_VARIABLE, find_operators
from simam_deploy.runtime import blocked
from simam_deploy.runtime.onnx_runner import OnnxRunner

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 8, 11, 7)).astype(np.float32)


@pytest.fixture(autouse=True)
def library():
    found = find_operators()
    if found is None:
        pytest.skip("no operators: scripts/build_plugin --onnxruntime-include DIR makes them")
    try:
        blocked.channels_of_a_block()
    except blocked.InputError:
        pytest.skip("ONNX Runtime's convolutions keep no blocks on this machine")


def network(channels=20):
    """Convolutions of channels that fill no block, with one SimAM of each kind between them."""
    clip = "e_lambda = 0.1, clip_min = -1.0, clip_max = 6.0"
    proto = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[n, 8, 11, 7] x) => (float[n, {channels}, 11, 7] y) {{
          a = Conv<pads = [1, 1, 1, 1]>(x, first) p = simam.SimAM<e_lambda = 0.1>(a)
          b = Conv<pads = [1, 1, 1, 1]>(p, second)
          q = simam.SimAMEpilogue<{clip}>(b, scale, bias)
          c = Conv<pads = [1, 1, 1, 1]>(q, third)
          r = simam.SimAMResidualEpilogue<{clip}>(c, bias, scale, q)
          y = Conv<pads = [1, 1, 1, 1]>(r, second) }}"""
    )
    weights = {
        "first": (channels, 8, 3, 3), "second": (channels, channels, 3, 3),
        "third": (channels, channels, 3, 3), "scale": (channels,), "bias": (channels,),
    }  # fmt: skip
    for name, shape in weights.items():
        drawn = RNG.standard_normal(shape).astype(np.float32) / np.prod(shape[1:]) ** 0.5
        proto.graph.initializer.append(numpy_helper.from_array(drawn.astype(np.float32), name))
    return proto.SerializeToString()


def in_blocks(path, content):
    return blocked.in_blocks(path, {path.name: content}, lambda runner: {"x": X})


@pytest.mark.parametrize("channels", [16, 20, 64])
def test_it_computes_the_same(channels, tmp_path):
    path, content = tmp_path / "m.onnx", network(channels)
    given = in_blocks(path, content)
    assert given is not None
    domains = [n.domain for n in onnx.ModelProto.FromString(given).graph.node]
    assert domains.count("simam.nchwc") == 3
    assert "simam" not in domains
    answers = []
    for graph, optimised in ((content, False), (given, True)):
        with OnnxRunner(path, contents={path.name: graph}, optimised=optimised) as runner:
            answers.append(runner.run({"x": X})["y"])
    assert np.abs(answers[0] - answers[1]).max() <= 2e-6 * np.abs(answers[0]).max()


@pytest.mark.parametrize("fault", ["lambda", "channels", "block", "scale for bias", "residual"])
def test_a_graph_that_computes_otherwise_is_not_given_away(fault, tmp_path, monkeypatch):
    real = nchwc.take_blocks

    def wrong(model, block):
        saved = real(model, 8 if fault == "block" else block)
        for node in (n for n in model.graph if n.domain == "simam.nchwc"):
            change(node, fault)
        return saved

    monkeypatch.setattr(nchwc, "take_blocks", wrong)
    assert in_blocks(tmp_path / "m.onnx", network()) is None


def change(node, fault):
    import onnx_ir as ir

    if fault == "lambda":
        node.attributes["e_lambda"] = ir.AttrFloat32("e_lambda", 0.11)
    elif fault == "channels":
        node.attributes["channels"] = ir.AttrInt64("channels", 18)
    elif fault == "scale for bias" and len(node.inputs) > 1:
        scale, bias = node.inputs[1:3]
        node.replace_input_with(1, bias)
        node.replace_input_with(2, scale)
    elif fault == "residual" and len(node.inputs) > 3:
        node.replace_input_with(3, node.inputs[0])


def test_it_is_for_files_with_sites_and_machines_with_operators(tmp_path, monkeypatch):
    path = tmp_path / "m.onnx"
    plain = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[n, 8, 11, 7] x) => (float[n, 8, 11, 7] y) { y = Relu(x) }"""
    )
    assert in_blocks(path, plain.SerializeToString()) is None
    plain.graph.node[0].name = "simam.SimAM"
    monkeypatch.setattr(blocked, "_proved", lambda *given: pytest.fail("it has no sites"))
    assert in_blocks(path, plain.SerializeToString()) is None
    monkeypatch.undo()
    monkeypatch.setattr(blocked, "LARGEST", 1)
    assert in_blocks(path, network()) is None
    monkeypatch.undo()
    monkeypatch.setenv(OPERATORS_VARIABLE, "off")
    assert in_blocks(path, network()) is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_proves_nothing(value, tmp_path):
    x = X.copy()
    x[1, 3, 5, 5] = value
    content = {"m.onnx": network()}
    assert blocked.in_blocks(tmp_path / "m.onnx", content, lambda runner: {"x": x}) is None
