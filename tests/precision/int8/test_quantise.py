"""Quantising small graphs: what is written, and what is refused."""

import json
import re

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError, UsageError
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.typed import typed
from simam_deploy.graph.file.write import write_model
from simam_deploy.precision.half.half import to_half
from simam_deploy.precision.int8 import quantise
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.source.samples import open_dataset
from tests.precision.int8.networks import BLOCK, Network, block, draw, small


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return small(tmp_path_factory.mktemp("small"))


def counts(graph: ir.Model) -> dict[str, int]:
    types = [n.op_type for n in graph.graph]
    return {t: types.count(t) for t in ("QuantizeLinear", "DequantizeLinear", "Conv", "Add")}


def test_the_file_is_valid_and_smaller(network):
    onnx.checker.check_model(onnx.load(network.int8), full_check=True)
    assert counts(read_model(network.int8)) == {
        "QuantizeLinear": 2,
        "DequantizeLinear": 4,
        "Conv": 4,
        "Add": 1,
    }
    stored = read_model(network.int8).graph.initializers
    assert {n for n in stored if n.startswith(("w2", "w3"))} == {
        f"{w}/{part}" for w in ("w2", "w3") for part in ("int8", "scale", "zero")
    }
    with OnnxRunner(network.int8) as runner:
        assert runner.inputs == (network.spec,)


def test_what_tensorrt_insists_on(network):
    """Zero points of 0, positive scales, weights by output channel, biases in float32."""
    for node in read_model(network.int8).graph:
        if node.op_type.endswith("tizeLinear"):
            scale, zero = (v.const_value.numpy() for v in node.inputs[1:])
            assert np.all(scale > 0)
            assert zero.dtype == np.int8
            assert not zero.any()
            weights = node.inputs[0].is_initializer()
            assert scale.shape == ((4,) if weights else ())
            assert not weights or node.attributes["axis"].as_int() == 0
        if node.op_type == "Conv" and len(node.inputs) > 2:
            assert node.inputs[2].dtype == ir.DataType.FLOAT


def test_outputs_stay_close(network):
    with OnnxRunner(network.file) as exact, OnnxRunner(network.int8) as small_one:
        want, got = (r.run(network.feeds)["y"] for r in (exact, small_one))
    off = np.linalg.norm(want - got) / np.linalg.norm(want)
    assert 1e-3 < off < 2e-2


def test_facts_are_for_the_manifest(network):
    quantised = network.quantised
    assert quantised.layers == 2
    assert quantised.kept == ("one (first layer)", "four (last layer)")
    facts = json.loads(json.dumps(quantised.calibration))
    assert (facts["data"], facts["samples"]) == ("x.npy", 8)
    assert facts["ranges"].keys() == {"r", "s"}
    scale = read_model(network.int8).graph.initializers["r/scale"].const_value.numpy()
    assert scale == pytest.approx(facts["ranges"]["r"] / 127)


def test_progress_is_told(network):
    told = []
    quantise(network.file, network.dataset(), progress=told.append)
    assert told == ["calibrating: 8 of 8 samples", "writing Q/DQ pairs"]


def test_memory_limits_the_batch(network, monkeypatch):
    one_sample = 2 * 4 * 9 * 9 * 4  # two tensors are tapped
    monkeypatch.setattr("simam_deploy.precision.int8.runs._BYTES", 2 * one_sample + 1)
    told = []
    quantised = quantise(network.file, network.dataset(), progress=told.append)
    assert told[:-1] == [f"calibrating: {n} of 8 samples" for n in (2, 4, 6, 8)]
    ranges = network.quantised.calibration["ranges"]
    assert quantised.calibration["ranges"] == pytest.approx(ranges, rel=1e-3)


def test_the_float_file_is_left_alone(tmp_path):
    network = small(tmp_path)
    before = network.file.read_bytes()
    _ = network.quantised
    assert network.file.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "x.npy"]


def test_layers_may_share_weights(tmp_path):
    network = small(tmp_path, BLOCK.replace("w3", "w2"))
    assert counts(read_model(network.int8))["DequantizeLinear"] == 3
    assert network.verdict().passed


def test_a_pruned_channel_keeps_a_usable_scale(tmp_path):
    w2 = draw(2, 4, 4, 3, 3) / 6
    w2[1] = 0
    network = small(tmp_path, w2=w2)
    scales = read_model(network.int8).graph.initializers["w2/scale"].const_value.numpy()
    assert scales[1] == 1
    assert network.verdict().passed


def test_a_layer_that_sees_zeros_only_stays_float(tmp_path):
    network = small(tmp_path, BLOCK.replace("s = Relu(c)", "c2 = Abs(c) c3 = Neg(c2) s = Relu(c3)"))
    assert network.quantised.layers == 1
    assert network.quantised.left == {"three": "its input was zero on every sample"}
    assert "three (its input was zero on every sample)" in network.quantised.kept
    assert network.verdict().passed


@pytest.mark.parametrize("batch", ["1", "3", "8"])
def test_a_fixed_batch(batch, tmp_path):
    network = small(tmp_path, BLOCK.replace("n,4,9,9", f"{batch},4,9,9"))
    quantise(network.file, network.dataset())


def test_a_fixed_batch_beyond_the_samples(tmp_path):
    network = small(tmp_path, BLOCK.replace("n,4,9,9", "9,4,9,9"))
    with pytest.raises(InputError, match=r"has 8 samples, the model takes 9 at once"):
        quantise(network.file, network.dataset())


def test_a_single_sample_works_with_a_note(network):
    quantised = quantise(network.file, network.dataset(limit=1))
    assert "single sample" in quantised.notes[0]
    assert quantised.calibration["samples"] == 1


def samples(folder, array) -> Network:
    network = small(folder)
    np.save(network.samples, array.astype(np.float32))
    return network


@pytest.mark.parametrize("value", [0.0, -3.5])
def test_constant_samples_are_refused(value, tmp_path):
    network = samples(tmp_path, np.full((8, 4, 9, 9), value))
    with pytest.raises(InputError, match=r"x\.npy: every sample is constant"):
        quantise(network.file, network.dataset())


def test_samples_of_one_color_each_are_constant(tmp_path):
    network = samples(tmp_path, draw(0, 8, 4, 1, 1) * np.ones((9, 9)))
    with pytest.raises(InputError, match="every sample is constant"):
        quantise(network.file, network.dataset())


def test_one_sample_that_varies_is_enough(tmp_path):
    array = np.zeros((8, 4, 9, 9))
    array[7] = draw(0, 4, 9, 9)
    network = samples(tmp_path, array)
    assert quantise(network.file, network.dataset()).layers == 2


def test_nan_among_the_samples(tmp_path):
    array = draw(0, 8, 4, 9, 9)
    array[5, 0, 0, 0] = np.nan
    network = samples(tmp_path, array)
    with pytest.raises(InputError, match=r"x\.npy\[5\] holds 1 NaN"):
        quantise(network.file, network.dataset())


def test_samples_of_the_wrong_size(tmp_path):
    network = samples(tmp_path, draw(0, 8, 4, 9, 8))
    with pytest.raises(InputError, match=r"\(8, 4, 9, 8\): wanted floats x float32 n x 4 x 9 x 9"):
        quantise(network.file, network.dataset())


def test_an_empty_folder(tmp_path):
    (tmp_path / "pictures").mkdir()
    facts = {"kind": "image", "resize": 9, "scale": 1, "mean": [0] * 3, "std": [1] * 3}
    spec = TensorSpec("x", "float32", ("n", 3, 9, 9))
    with pytest.raises(InputError, match="holds no picture"):
        open_dataset(tmp_path / "pictures", [spec], facts)


def test_a_network_that_overflows(tmp_path):
    network = samples(tmp_path, 3e38 * np.sign(draw(0, 8, 4, 9, 9)))
    with pytest.raises(InputError, match="gives NaN or infinity at r"):
        quantise(network.file, network.dataset())


def test_an_int8_file_is_refused(network):
    with pytest.raises(InputError, match=r"quantised already \(\w+Linear .*float32 original"):
        quantise(network.int8, network.dataset())


def test_a_half_file_is_refused(network, tmp_path):
    graph = typed(read_model(network.file))
    to_half(graph, ir.DataType.FLOAT16)
    write_model(graph, tmp_path / "half.onnx")
    with pytest.raises(InputError, match=r"is float16 at .*float32 original"):
        quantise(tmp_path / "half.onnx", network.dataset())


def test_an_old_opset_is_refused(tmp_path):
    network = small(tmp_path, re.sub("18", "12", BLOCK))
    with pytest.raises(UsageError, match="opset 12: int8 wants 13"):
        quantise(network.file, network.dataset())


def test_opset_13_is_enough(tmp_path):
    network = small(tmp_path, re.sub("18", "13", BLOCK))
    onnx.checker.check_model(onnx.load(network.int8), full_check=True)
    assert network.verdict().passed


def test_nothing_to_quantise(tmp_path):
    network = small(tmp_path, block("[only] y = Conv<pads = [1, 1, 1, 1]>(x, w1)"))
    with pytest.raises(InputError, match=r"no layer that could be int8: only \(first layer\)"):
        quantise(network.file, network.dataset())


def test_two_inputs(tmp_path):
    network = small(tmp_path)
    graph = read_model(network.file)
    graph.graph.inputs.append(ir.val("z", ir.DataType.FLOAT, [1]))
    write_model(graph, tmp_path / "two.onnx")
    with pytest.raises(UsageError, match="the samples give one input; the model takes x, z"):
        quantise(tmp_path / "two.onnx", network.dataset())
