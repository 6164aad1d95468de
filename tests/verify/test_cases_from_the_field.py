"""What people met, a small case of each kind: what is right passes, what is wrong is said."""

import json
import re

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper

from simam_deploy import NETWORKS, NetworkOptions, OnnxOptions, SimamError, export_onnx
from simam_deploy.cli import main
from simam_deploy.core.specs import QUANTISED
from simam_deploy.models.create import create
from tests.nets.faults import plant, scale_output
from tests.nets.files import (
    PRECISIONS,
    add_best,
    add_labels,
    add_nms,
    clean,
    network_options,
    samples,
)
from tests.nets.judging import ADMISSION, judge, without_place
from tests.nets.weights import SIZE, weights


def drawn(own, name, precision="fp32"):
    return clean(own, name, precision, "drawn")


def export(own, name, target, precision=None, dynamic=None):
    asked = OnnxOptions(precision=precision)
    network = network_options(name, SIZE, dynamic)
    return export_onnx(weights(own, name), target, asked, network)


def told(make):
    """Give what an export says: its error, or the whole manifest of what it wrote."""
    try:
        return make().manifest_path.read_text()
    except SimamError as error:
        return without_place(error)


def bounds(artifact):
    return {(r.case, r.output): r.allowed for r in artifact.validation.results}


def edited(source, file, edit):
    proto = onnx.load(source)
    edit(proto)
    onnx.checker.check_model(proto)
    onnx.save(proto, file)
    return file


def run(file, x):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


def test_a_file_of_free_sizes_against_source_and_self(own, tmp_path):
    file = export(own, "Classifier", tmp_path / "m.onnx", dynamic="hw").path
    for reference, network in ((weights(own, "Classifier"), "Classifier"), (file, None)):
        found = judge(reference, file, network and network_options(network))
        assert not found.caught, found.said


@pytest.mark.slow
def test_the_digits_of_free_sizes_against_source_and_self(digits, tmp_path):
    network = NetworkOptions(dynamic="hw")
    file = export_onnx(digits, tmp_path / "m.onnx", network=network).path
    for reference in (digits, file):
        found = judge(reference, file)
        assert not found.caught, found.said


def test_an_eps_that_half_flushes(own, tmp_path):
    """A blank frame is 0 in float32, and 0 over 0 where eps is gone."""
    file = export(own, "Normed", tmp_path / "m.onnx", "fp16").path
    (embedding,) = run(file, np.zeros((1, 3, SIZE, SIZE), np.float32))
    assert not embedding.any()


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_source_that_writes_into_its_input_has_the_same_bounds(precision, own, tmp_path):
    found = [
        bounds(export(own, name, tmp_path / f"{name}.onnx", precision))
        for name in ("InPlace", "OutOfPlace")
    ]
    assert found[0] == pytest.approx(found[1], rel=0.5)


def test_a_fault_behind_a_source_that_writes_into_its_input(own, tmp_path):
    faulty = edited(drawn(own, "InPlace"), tmp_path / "m.onnx", scale_output(1 + 2.7e-4))
    assert judge(weights(own, "InPlace"), faulty, network_options("InPlace")).caught


@pytest.mark.parametrize("name", ["Dead", "Constant"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_output_that_never_moves_is_not_called_proved(name, precision, own, tmp_path):
    says = told(lambda: export(own, name, tmp_path / "m.onnx", precision))
    assert ADMISSION in says.lower()


def test_a_dead_network_asks_for_data(own, tmp_path, capsys):
    file = export(own, "Dead", tmp_path / "m.onnx").path
    capsys.readouterr()
    main(["validate", str(file), str(file), "-q"])
    says = capsys.readouterr()
    assert ADMISSION in (says.out + says.err).lower()
    assert "--data" in says.out + says.err


def make_batch_none(proto):
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 0


def test_a_batch_of_none_is_a_free_one(own, tmp_path):
    file = edited(drawn(own, "Classifier"), tmp_path / "none.onnx", make_batch_none)
    made = export_onnx(file, tmp_path / "m.onnx")
    assert made.inputs[0].shape == ("batch", 3, 64, 64)
    tried = {result.case for result in made.validation.results}
    assert any("3x3x64x64" in case for case in tried), tried


def test_a_fault_behind_a_batch_of_none_is_caught(own, tmp_path):
    source = drawn(own, "Classifier")
    none = edited(source, tmp_path / "none.onnx", make_batch_none)
    faulty = edited(none, tmp_path / "faulty.onnx", scale_output(1 + 2.7e-4))
    assert judge(none, faulty).caught


@pytest.mark.slow
def test_drawn_weights_whose_maps_die_are_not_called_proved(tmp_path):
    """Without any SimAM the outputs of this one are the same to 6e-7."""
    torch.manual_seed(0)
    torch.save(create(NETWORKS["mobilenet_v2"]).state_dict(), tmp_path / "m.pth")
    network = NetworkOptions(arch="mobilenet_v2")
    says = told(lambda: export_onnx(tmp_path / "m.pth", tmp_path / "m.onnx", network=network))
    assert ADMISSION in says.lower()


@pytest.mark.parametrize("name", ["DropoutLeft", "DropoutForgotten", "Noisy"])
def test_chance_in_the_network_is_named(name, own, tmp_path):
    says = told(lambda: export(own, name, tmp_path / "m.onnx"))
    assert re.search(r"(?i)two runs|twice|chance|random", says), says


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("add", [add_labels, add_best])
def test_an_index_off_by_one_is_refused(add, precision, own, tmp_path):
    """Of four classes, or of 256 places: there one is less than the bound on half's outputs."""
    source = add(drawn(own, "Separate"), tmp_path / "source.onnx")
    right = export_onnx(source, tmp_path / "right.onnx", OnnxOptions(precision=precision)).path
    assert not judge(source, right).caught
    faulty = plant("index off by one", "ThreeOutputs", right, tmp_path / "m.onnx")
    assert judge(source, faulty).caught


def test_a_tie_is_settled_either_way(own, tmp_path):
    """Every class is there twice: the first of the best and the last score the same."""
    first, last = (
        add_labels(drawn(own, "Separate"), tmp_path / f"{last}.onnx", twice=True, last=last)
        for last in (0, 1)
    )
    found = judge(first, last)
    assert not found.caught, found.said


@pytest.mark.parametrize("name", ["ThreeOutputs", "TopK"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_detector_that_gives_indices_exports(name, precision, own, tmp_path):
    assert export(own, name, tmp_path / "m.onnx", precision).path.exists()


@pytest.fixture(scope="module")
def suppressing(own, tmp_path_factory):
    return add_nms(drawn(own, "Separate"), tmp_path_factory.mktemp("nms") / "nms.onnx")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_detector_with_nms_inside_exports(precision, suppressing, tmp_path):
    asked = OnnxOptions(precision=precision)
    file = export_onnx(suppressing, tmp_path / "m.onnx", asked).path
    found = judge(suppressing, file)
    assert not found.caught, found.said


def test_the_order_of_what_nms_chose_does_not_matter(suppressing, tmp_path):
    """From last to first; what it chose is a set."""

    def reverse(proto):
        proto.graph.node[-1].output[0] = "chosen/first"
        for name, value in (("ends", -1), ("stops", -(2**62)), ("axis", 0), ("step", -1)):
            array = np.array([value], np.int64)
            proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        inputs = ["chosen/first", "ends", "stops", "axis", "step"]
        proto.graph.node.append(helper.make_node("Slice", inputs, ["chosen"]))

    found = judge(suppressing, edited(suppressing, tmp_path / "m.onnx", reverse))
    assert not found.caught, found.said


def test_another_choice_of_nms_is_refused(suppressing, tmp_path):
    def choose_less(proto):
        most = next(t for t in proto.graph.initializer if t.name == "most")
        most.CopyFrom(onnx.numpy_helper.from_array(np.array([3], np.int64), "most"))

    assert judge(suppressing, edited(suppressing, tmp_path / "m.onnx", choose_less)).caught


def test_equal_biases_that_an_exporter_wrote_once(own, tmp_path):
    """The second is an Identity of the first, as TorchScript's exporter writes them."""

    def share(proto):
        convs = [node for node in proto.graph.node if node.op_type == "Conv"]
        kept, spared = convs[1].input[2], convs[2].input[2]
        left = [t for t in proto.graph.initializer if t.name != spared]
        del proto.graph.initializer[:]
        proto.graph.initializer.extend(left)
        proto.graph.node.insert(0, helper.make_node("Identity", [kept], [spared]))

    file = edited(drawn(own, "EqualBiases"), tmp_path / "shared.onnx", share)
    half = export_onnx(file, tmp_path / "half.onnx", OnnxOptions(precision="fp16"))
    assert half.validation.passed
    assert not judge(file, half.path).caught


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_list_of_maps(precision, own, tmp_path):
    artifact = export(own, "Encoder", tmp_path / "m.onnx", precision)
    assert len(artifact.outputs) == 3
    found = judge(weights(own, "Encoder"), artifact.path, network_options("Encoder"))
    assert not found.caught, found.said


@pytest.mark.parametrize("precision", PRECISIONS)
def test_as_many_gates_as_sites_are_judged(precision, own, tmp_path):
    calibration = samples(own) if precision in QUANTISED else None
    asked = OnnxOptions(precision=precision, calibration_data=calibration)
    artifact = export_onnx(drawn(own, "Classifier"), tmp_path / "m.onnx", asked)
    assert len(artifact.sites) == len(artifact.validation.gates) == 3


@pytest.mark.parametrize("free", ["none", "batch"])
def test_int8_of_a_detector(free, own, tmp_path):
    network = network_options("Detector", SIZE, free)
    file = export_onnx(weights(own, "Detector"), tmp_path / "m.onnx", network=network).path
    asked = OnnxOptions(precision="int8", calibration_data=samples(own))
    found = judge(file, export_onnx(file, tmp_path / "int8.onnx", asked).path)
    assert not found.caught, found.said


def test_a_report_states_its_power(own, capsys):
    file = drawn(own, "Detector")
    assert main(["validate", str(file), str(file), "-q", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["passed"]
    assert "power" in json.dumps(document)
