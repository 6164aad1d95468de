"""A reference is opened at what its candidate takes, several inputs too."""

import numpy as np
import pytest
import torch

from simam_deploy import (
    InputError,
    NetworkOptions,
    SampleOptions,
    UsageError,
    export_onnx,
    validate_models,
)
from simam_deploy.source.options import read_input
from simam_deploy.verify.candidate import open_candidate
from simam_deploy.verify.pair import load_reference
from tests.source import called

OWN = NetworkOptions(model="tests.source.called:Mixed")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Weights, and the file that was made of them."""
    folder = tmp_path_factory.mktemp("mixed")
    torch.save(called.Mixed().state_dict(), folder / "m.pth")
    inputs = tuple(map(read_input, called.MIXED))
    asked = NetworkOptions(model="tests.source.called:Mixed", inputs=inputs)
    return folder / "m.pth", export_onnx(folder / "m.pth", network=asked).path


def test_the_candidate_says_what_the_source_is_to_take(mixed):
    """anchors begins with 1, and has no batch: the batch is asked for as another number."""
    weights, file = mixed
    subject = load_reference(weights, OWN, open_candidate(file))
    assert [sizes[1:] for sizes in subject.shapes] == [
        ((batch, 16, 16, 3), (batch, 16, 16), (batch, 5), (1, 4)) for batch in (1, 3)
    ]
    with subject.reference() as runner:
        assert [(s.name, s.dtype) for s in runner.inputs] == [
            tuple(text.split(":")[:2]) for text in called.MIXED
        ]


def test_it_passes_against_its_source(mixed):
    report = validate_models(*mixed, OWN)
    assert report.passed
    assert {r.output for r in report.validation.results} == {"output0", "output1"}


def test_a_fault_in_what_has_no_batch_is_found(mixed, tmp_path, monkeypatch):
    """The second output is the anchors times the number: a source that adds has another."""
    forward = called.Mixed.forward

    def wrong(self, limit, picture, mask, tokens, anchors):
        y, _ = forward(self, limit, picture, mask, tokens, anchors)
        return y, anchors * limit + 0.01

    monkeypatch.setattr(called.Mixed, "forward", wrong)
    report = validate_models(*mixed, OWN)
    assert not report.passed
    assert any("output1" in failure for failure in report.failures)


def test_sizes_that_the_source_does_not_take_are_said(mixed):
    weights, file = mixed
    wrong = NetworkOptions(
        model=OWN.model,
        inputs=tuple(map(read_input, (*called.MIXED[:3], "tokens:int64:2x6", called.MIXED[4]))),
    )
    with pytest.raises(InputError, match="do not take the same input"):
        validate_models(weights, file, wrong)
    with pytest.raises(UsageError, match=r"m\.onnx takes limit float32 .*leave others out"):
        validate_models(weights, file, NetworkOptions(model=OWN.model, input_shape=(1, 3)))


def test_samples_of_several_inputs_are_arrays_of_their_names(mixed, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 3), np.float32))
    with pytest.raises(InputError, match=r"an \.npz with an array for each input, picture, mask"):
        validate_models(*mixed, OWN, SampleOptions(data=tmp_path / "x.npy"))
