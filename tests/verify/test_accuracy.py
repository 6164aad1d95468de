"""Top-1, top-5 and agreement of two classifiers."""

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy import InputError, SampleOptions, UsageError
from simam_deploy.cli.validate import main
from simam_deploy.core.specs import TensorSpec
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.pipeline.validate import validate_models
from simam_deploy.source.samples import Batch
from simam_deploy.verify.accuracy import AGREEMENT, measure_accuracy
from simam_deploy.verify.bisect import convert
from tests.precision.half.graphs import BF16, FP16
from train_digits import split


class Table:
    """A classifier that looks its logits up: sample i is the number i."""

    name = "table"
    outputs = (TensorSpec("y", "float32", ("n", 8)),)

    def __init__(self, logits, batch="n"):
        self.inputs = (TensorSpec("x", "float32", (batch, 1)),)
        self.logits = np.asarray(logits, np.float32)
        self.batch = batch

    def run(self, feeds):
        x = feeds["x"]
        assert self.batch == "n" or len(x) == self.batch
        return {"y": self.logits[x[:, 0].astype(int)]}


def one_hot(*classes):
    """Class c first, then c + 1 and so on round the circle of eight."""
    return [np.roll(np.arange(8, 0, -1), c) for c in classes]


def batches(count, size, labels=None):
    rows = np.arange(count, dtype=np.float32)[:, None]
    for start in range(0, count, size):
        chosen = slice(start, start + size)
        yield Batch(rows[chosen], None if labels is None else np.array(labels, np.int64)[chosen])


@pytest.mark.parametrize("size", [1, 2, 4, 5])
@pytest.mark.parametrize("batch", ["n", 5])
def test_every_sample_counts_once(size, batch):
    reference = Table(one_hot(0, 1, 2, 3, 4), batch)
    candidate = Table(one_hot(0, 1, 2, 3, 0), batch)
    labels = [0, 1, 3, 0, 4]  # third: second of five; fourth: 3, 4, 5, 6, 7 are its best
    found = measure_accuracy(reference, candidate, batches(5, size, labels), 0.8)
    assert (found.samples, found.agreement) == (5, 0.8)
    assert (found.reference.top1, found.reference.top5) == (0.6, 0.8)
    assert (found.candidate.top1, found.candidate.top5) == (0.4, 0.8)
    assert found.passed
    assert not measure_accuracy(reference, candidate, batches(5, size), 0.81).passed


def test_labels_that_are_no_classes_are_refused():
    both = Table(one_hot(0, 1, 2), "n")
    with pytest.raises(InputError, match="label 8, the model scores 8 classes"):
        measure_accuracy(both, both, batches(3, 3, [0, 8, 1]), 1.0)


def test_folders_in_their_order_must_be_as_many_as_the_scores():
    """Three folders of words say nothing of which three of eight classes they are."""
    both = Table(one_hot(0, 1, 2), "n")
    for folders, refused in ((3, True), (9, True), (8, False), (None, False)):
        given = batches(3, 3, [0, 1, 2]), 1.0, folders
        if refused:
            with pytest.raises(InputError, match=f"{folders} class folders, and scores of 8"):
                measure_accuracy(both, both, *given)
        else:
            assert measure_accuracy(both, both, *given).reference.top1 == 1.0


def test_without_labels_there_is_agreement_alone():
    found = measure_accuracy(Table(one_hot(1)), Table(one_hot(1)), batches(1, 1), 1.0)
    assert found.agreement == 1.0
    assert found.reference is found.candidate is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_wrong_even_against_itself(bad):
    logits = np.array(one_hot(0, 1), np.float32)
    logits[1, 7] = bad
    both = Table(logits)
    found = measure_accuracy(both, both, batches(2, 2, [0, 1]), 0.5)
    assert found.agreement == found.candidate.top1 == 0.5


def test_no_samples_is_an_error():
    with pytest.raises(InputError, match="no samples"):
        measure_accuracy(Table([]), Table([]), iter(()), 0.0)


def test_two_inputs_are_refused():
    two = Table(one_hot(0))
    two.inputs *= 2
    with pytest.raises(UsageError, match="the model takes x, x"):
        measure_accuracy(two, two, batches(1, 1), 0.0)


def test_a_network_that_ranks_nothing_is_refused():
    maps = Table(np.zeros((1, 8, 2)))
    with pytest.raises(InputError, match=r"\(N, classes\), table gives \(1, 8, 2\)"):
        measure_accuracy(maps, maps, batches(1, 1), 0.0)


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    _, images, _, labels = split()
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(path, images=images.numpy(), labels=labels.numpy())
    return path


@pytest.fixture(scope="module")
def float32(digits_onnx):
    return digits_onnx


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("fp16", FP16), pytest.param("bf16", BF16, marks=pytest.mark.slow)],
    ids=["fp16", "bf16"],
)
def test_digits_by_precision(precision, dtype, digits, float32, held_out, tmp_path):
    write_model(convert(read_model(float32), dtype, ()), tmp_path / "half.onnx")
    report = validate_models(digits, tmp_path / "half.onnx", samples=SampleOptions(held_out))
    assert report.passed, report.failures
    found = report.accuracy
    assert found.samples == 360
    assert found.required == AGREEMENT[precision]
    assert found.agreement == 1.0
    assert found.candidate.top1 == found.reference.top1 >= 0.97
    assert found.reference.top1 < found.reference.top5 <= 1.0
    assert any(result.case.startswith("digits.npz") for result in report.validation.results)


def test_one_class_lost_fails_though_labels_would_not_show_much(float32, held_out, tmp_path):
    graph = convert(read_model(float32), FP16, ())
    bias = next(n for n in graph.graph if n.op_type == "Gemm").inputs[2]
    spoilt = bias.const_value.numpy().copy()
    spoilt[3] -= 100
    bias.const_value = ir.tensor(spoilt, name=bias.name)
    write_model(graph, tmp_path / "bad.onnx")
    report = validate_models(float32, tmp_path / "bad.onnx", samples=SampleOptions(held_out))
    assert 0.8 < report.accuracy.agreement < 0.95
    assert "agreement" in report.failures[-1]


def test_the_bound_can_be_given(float32, held_out, capsys):
    arguments = [str(float32), str(float32), "-q", "--data", str(held_out), "--limit", "16"]
    assert main([*arguments, "--min-agreement", "1"]) == 0
    printed = capsys.readouterr().out
    assert "100.00% of 16 samples (at least 100.00%)" in " ".join(printed.split())
    assert "top-5" in printed


def test_more_samples_than_there_are_is_all(float32, held_out):
    report = validate_models(float32, float32, samples=SampleOptions(held_out, limit=10_000))
    assert report.accuracy.samples == 360


def test_a_broken_sample_is_not_the_candidates_fault(float32, tmp_path):
    """The first is read on opening, so that only a later one meets the candidate."""
    samples = np.random.default_rng(0).standard_normal((40, 3, 32, 32)).astype(np.float32)
    samples[35] = np.nan
    np.save(tmp_path / "x.npy", samples)
    with pytest.raises(InputError, match=r"x\.npy\[35\] holds 3072 NaN"):
        validate_models(float32, float32, samples=SampleOptions(tmp_path / "x.npy"))
