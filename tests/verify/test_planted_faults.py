"""Faults planted in files of our own networks, and in our own lowering: none passes in silence.

In float32 every one is caught. A conversion may cost what a fault does: then the report, if it
lets the fault pass, says what it has not proved, or how small a move it does not see.
`scripts/bench/faults.py` prints the whole grid.
"""

import pytest
from faults import NETWORKS, NONE, OF_TORCH, judge_fault, measure

from simam_deploy import OnnxOptions, ValidationError, export_onnx
from simam_deploy.core.specs import QUANTISED
from tests.nets.faults import FAULTS, fits
from tests.nets.files import PRECISIONS, clean, network_options, samples
from tests.nets.lowering import SPOILT, spoilt
from tests.nets.weights import weights

QUICK = (("Detector", "fp32"), ("Detector", "fp16"), ("Classifier", "int8"))
FILES = [
    pytest.param(*file, marks=() if file in QUICK else pytest.mark.slow)
    for file in ((network, precision) for network in NETWORKS for precision in PRECISIONS)
]
CELLS = [
    pytest.param(network, precision, fault, marks=param.marks)
    for param in FILES
    for network, precision in [param.values]
    for fault in FAULTS
    if fits(fault, network)
]


@pytest.mark.parametrize(("network", "precision"), FILES)
def test_the_clean_file_passes(network, precision, own):
    verdict = judge_fault(own, network, precision, NONE)
    assert not verdict.caught, verdict.said


@pytest.mark.parametrize(("network", "precision", "fault"), CELLS)
def test_no_fault_passes_in_silence(network, precision, fault, own):
    row = measure(own, network, precision, fault, "onnx")
    assert row["verdict"] in ("caught", "admitted", "below"), row
    assert row["verdict"] == "caught" or precision != "fp32", row


@pytest.mark.slow
@pytest.mark.parametrize("network", OF_TORCH)
@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_passes_against_the_weights(network, fault, own):
    if not fits(fault, network):
        pytest.skip(f"{network} has no such output")
    assert judge_fault(own, network, "fp32", fault, "pth").caught


def refuse(source, target, precision, fault, own, network=None):
    """Export with a fault in the lowering of one of three sites, and see no file."""
    calibration = samples(own) if precision in QUANTISED else None
    asked = OnnxOptions(precision=precision, calibration_data=calibration)
    with spoilt(fault, "body.0.weight") as used, pytest.raises(ValidationError):
        export_onnx(source, target, asked, network)
    assert used
    assert not target.exists()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("fault", SPOILT)
def test_a_fault_in_our_own_lowering_is_refused(fault, precision, own, tmp_path):
    refuse(clean(own, "Classifier"), tmp_path / "m.onnx", precision, fault, own)


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("fault", SPOILT)
def test_so_it_is_from_weights(fault, precision, own, tmp_path):
    source = weights(own, "Classifier", "trained")
    refuse(source, tmp_path / "m.onnx", precision, fault, own, network_options("Classifier"))
