"""Whatever a network comes as, its rounding can be disturbed: bounds are told from that."""

import warnings

import numpy as np
import pytest
import torch

from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower.portable import lower_portable
from simam_deploy.source import load_subject
from simam_deploy.source.options import NetworkOptions
from simam_deploy.verify.outputs import record
from simam_deploy.verify.rule import rule_for
from tests.graph.onnx_text import simam_model
from tests.source import detector
from tests.source.test_program import OneOutput

SHAPE = (1, 3, 64, 96)


def checkpoint(folder, digits):
    return digits, NetworkOptions()


def factory(folder, digits):
    torch.save(detector.make().state_dict(), folder / "w.pth")
    return folder / "w.pth", NetworkOptions(model="tests.source.detector:make", input_shape=SHAPE)


def pickled(folder, digits):
    torch.save(detector.make(), folder / "whole.pt")
    return folder / "whole.pt", NetworkOptions(input_shape=SHAPE, trust_pickle=True)


def program(folder, digits):
    exported = torch.export.export(OneOutput().eval(), (torch.zeros(SHAPE),))
    torch.export.save(exported, folder / "net.pt2")
    return folder / "net.pt2", NetworkOptions(trust_pickle=True)


def script(folder, digits):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(OneOutput().eval(), torch.zeros(SHAPE)), folder / "net.pt")
    return folder / "net.pt", NetworkOptions(input_shape=SHAPE, trust_pickle=True)


def onnx_file(folder, digits):
    graph = simam_model("n,4,9,9", 18, 1e-4)
    lower_portable(graph)
    write_model(graph, folder / "m.onnx")
    return folder / "m.onnx", NetworkOptions()


@pytest.mark.parametrize("kind", [checkpoint, factory, pickled, program, script, onnx_file])
def test_rounding_moves_every_output_a_little(kind, digits, tmp_path):
    """By a unit of float32 at the least in such networks, and by no more than they make of it."""
    source, options = kind(tmp_path, digits)
    subject = load_subject(source, options)
    rule = rule_for(subject.precision, subject.precision)
    case = next(case for case in rule.cases(subject.shapes) if case.kind == "normal")
    with subject.reference() as reference, subject.shaken() as shaken:
        recording = record(reference, shaken, [case], rule)
        assert np.isfinite(list(recording.spread.values())).all()
        assert set(recording.spread) == {spec.name for spec in reference.outputs}
    assert all(2.0**-26 < spread < 1e-4 for spread in recording.spread.values()), recording.spread
