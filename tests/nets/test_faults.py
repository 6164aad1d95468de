"""The instrument itself: every fault does what it is called, and only that."""

import numpy as np
import onnx
import pytest
from faults import moves, run

from tests.nets.faults import FAULTS, UnplantableError, fits, plant, sites
from tests.nets.files import add_labels, clean
from tests.nets.weights import shapes

ROUNDING = 1e-6
"""Running a network twice moves no plane by so much."""


@pytest.fixture(scope="module")
def detector(own):
    return clean(own, "Detector", "fp32", "drawn")


@pytest.fixture(scope="module")
def three(own, tmp_path_factory):
    separate = clean(own, "Separate", "fp32", "drawn")
    return add_labels(separate, tmp_path_factory.mktemp("three") / "three.onnx")


def test_the_sites_are_found(detector):
    assert len(sites(onnx.load(detector))) == 3


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fits(fault, "Detector")])
def test_a_fault_moves_the_network(fault, detector, tmp_path):
    assert moves(detector, detector) < ROUNDING
    assert moves(detector, plant(fault, "Detector", detector, tmp_path / "m.onnx")) > ROUNDING


def test_a_dropped_gate_is_one_site_less(detector, tmp_path):
    faulty = plant("gate dropped", "Detector", detector, tmp_path / "m.onnx")
    assert len(sites(onnx.load(faulty))) == 2


def planted(fault, network, clean_file, folder):
    pictures = shapes(2, seed=7)[0]
    faulty = plant(fault, network, clean_file, folder / "m.onnx")
    return run(clean_file, pictures), run(faulty, pictures)


def test_boxes_move_by_a_pixel_and_scores_do_not(detector, tmp_path):
    (before,), (after,) = planted("boxes + 1 px", "Detector", detector, tmp_path)
    np.testing.assert_allclose(after[:, :4] - before[:, :4], 1, atol=1e-4)
    np.testing.assert_array_equal(after[:, 4:], before[:, 4:])


@pytest.mark.parametrize(
    ("fault", "right"),
    [
        ("score x 0.95", lambda s: s * np.float32(0.95)),
        ("score + 0.05", lambda s: s + np.float32(0.05)),
        ("score zeroed", np.zeros_like),
        ("classes swapped", lambda s: s[:, [1, 0, 2, 3]]),
    ],
)
def test_scores_change_and_boxes_do_not(fault, right, detector, tmp_path):
    (before,), (after,) = planted(fault, "Detector", detector, tmp_path)
    np.testing.assert_array_equal(after[:, :4], before[:, :4])
    np.testing.assert_allclose(after[:, 4:], right(before[:, 4:]), rtol=1e-6)


def test_labels_move_by_one(three, tmp_path):
    before, after = planted("index off by one", "ThreeOutputs", three, tmp_path)
    np.testing.assert_array_equal(after[2], before[2] + 1)
    np.testing.assert_array_equal(after[1], before[1])


def test_no_place_for_a_fault_is_said(detector, tmp_path):
    with pytest.raises(UnplantableError, match="no labels"):
        plant("index off by one", "Detector", detector, tmp_path / "m.onnx")
