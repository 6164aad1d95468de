"""Samples of a network that is told its pictures' sizes: ranges and calibration see both inputs."""

import numpy as np
import onnx
import pytest
from PIL import Image

from simam_deploy import InputError
from simam_deploy.core.specs import TensorSpec
from simam_deploy.pipeline.int8 import Calibration
from simam_deploy.precision.int8.calibrate import calibrate, open_taps
from simam_deploy.precision.int8.runs import Runs
from simam_deploy.precision.ranges import measure_ranges
from simam_deploy.source.samples import open_dataset
from tests.detect.tiny import FACTS

SIZES = [(64, 96), (30, 96), (60, 90), (64, 40)]
BOTH = (
    TensorSpec("image", "float32", ("n", 3, 64, 96)),
    TensorSpec("image_size", "float32", ("n", 2)),
)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A SimAM on the picture; its mean times how much of the input is picture."""
    text = """<ir_version: 8, opset_import: ["": 18]>
        g (float[n, 3, 64, 96] image, float[n, 2] image_size) => (float[n, 3] y)
        <int64[2] axes = {2, 3}, float lam = {0.0001}, float four = {4}, float half = {0.5},
         float n = {6143}, int64[1] one = {1}, float whole = {6144}>
        {
          mean = ReduceMean(image, axes)  d = Sub(image, mean)  d2 = Mul(d, d)
          s = ReduceSum(d2, axes)  v = Div(s, n)  vl = Add(v, lam)  q = Mul(vl, four)
          e = Div(d2, q)  g_ = Add(e, half)  gate = Sigmoid(g_)  a = Mul(image, gate)
          p = GlobalAveragePool(a)  f = Flatten(p)
          area = ReduceProd(image_size, one)  share = Div(area, whole)  y = Mul(f, share)
        }"""
    path = tmp_path_factory.mktemp("sized") / "m.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number, (height, width) in enumerate(SIZES):
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_every_run_of_a_calibration_has_both_inputs(network, pictures):
    calibration = Calibration(pictures, FACTS, 4)
    dataset = calibration.open(BOTH)
    with open_taps(network, ("share",)) as taps:
        runs = Runs(dataset, taps)
        shares = np.concatenate([taps.read(feeds)[0].ravel() for feeds in runs])
    # 30 of 64 rows; the third is scaled by 96/90 to the whole; the last by nothing, 40 of 96.
    np.testing.assert_allclose(shares, [1, 30 / 64, 1, 40 / 96], rtol=1e-6)
    spreads, _ = calibrate(network, ("share",), dataset)
    assert set(spreads) == {"share"}


def test_ranges_are_measured_on_pictures(network, pictures):
    dataset = open_dataset(pictures, BOTH, FACTS)
    (found,) = measure_ranges(network, dataset).values()
    arrays = np.concatenate([batch.array for batch in dataset.batches(1)])
    assert found.std == pytest.approx(arrays.std(axis=(2, 3)).max(), rel=1e-3)


def test_a_network_of_two_inputs_whose_facts_say_nothing_is_refused(pictures):
    untold = {key: fact for key, fact in FACTS.items() if key != "size_input"}
    with pytest.raises(InputError, match="an array for each input, image, image_size"):
        Calibration(pictures, untold, 4).open(BOTH)
