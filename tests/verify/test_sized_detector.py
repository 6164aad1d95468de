"""A detector that is told its pictures' sizes, with masks, from samples to mean precision."""

import json

import numpy as np
import onnx
import pytest
from PIL import Image

from simam_deploy import InputError, NetworkOptions, SampleOptions
from simam_deploy.cli.validate import main
from simam_deploy.core.specs import TensorSpec
from simam_deploy.pipeline.validate import validate_models
from simam_deploy.source.samples import open_dataset
from simam_deploy.verify.detections import measure_detections
from simam_deploy.verify.given import given_cases
from tests.detect import tiny

pytest.importorskip("pycocotools", reason="needs the extra `detection`")

PLAIN = NetworkOptions(allow_none=True)
SIZES = [(96, 128), (90, 128), (128, 96), (60, 120), (240, 320)]


def outline(label, x1, y1, x2, y2):
    """The shape of `tiny.MASKS` in a box, as a polygon."""
    if label == 0:
        turns = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        shape = np.stack([np.cos(turns), np.sin(turns)], 1) / 2 + 0.5
    else:
        shape = np.array(
            [[[0, 0], [0.5, 0], [0.5, 1], [0, 1]], [[0, 0], [1, 1], [0, 1]]][label - 1]
        )
    return (shape * [x2 - x1, y2 - y1] + [x1, y1]).ravel().tolist()


@pytest.fixture(scope="module")
def spots(tmp_path_factory):
    """COCO's annotations of black pictures of unlike sizes with a rectangle of each colour."""
    folder = tmp_path_factory.mktemp("spots")
    images, annotations = [], []
    for number, (height, width) in enumerate(SIZES):
        boxes = np.array([[0.1, 0.1, 0.45, 0.6], [0.5, 0.05, 0.9, 0.5], [0.3, 0.62, 0.9, 0.93]])
        whole = (boxes * [width, height, width, height]).round().astype(int).tolist()
        named = dict(zip(tiny.CLASSES, whole, strict=True))
        Image.fromarray(tiny.painted(height, width, **named)).save(folder / f"{number}.png")
        images.append(
            {"id": number, "file_name": f"{number}.png", "width": width, "height": height}
        )
        for label, (x1, y1, x2, y2) in enumerate(whole):
            box = {"image_id": number, "category_id": label + 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            annotations.append({**box, "segmentation": [outline(label, x1, y1, x2, y2)]})
    names = [{"id": i + 1, "name": name} for i, name in enumerate(tiny.CLASSES)]
    document = {"images": images, "annotations": annotations, "categories": names}
    (folder / "annotations.json").write_text(json.dumps(document))
    return folder / "annotations.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def reference(folder):
    return tiny.write(folder)


def test_boxes_and_masks_of_a_right_detector_are_right(reference, spots):
    report = validate_models(reference, reference, PLAIN, SampleOptions(spots))
    found = report.accuracy
    assert (found.samples, found.found, found.lost, found.added) == (5, 15, 0, 0)
    assert found.reference.map50 == found.candidate.map50 == pytest.approx(1)
    assert found.reference_masks.map50 == found.candidate_masks.map50 == pytest.approx(1)
    assert found.reference_masks.map > 0.85
    assert report.passed, report.failures


def measured(path, reference, spots):
    from simam_deploy.runtime.onnx_runner import OnnxRunner

    with OnnxRunner(reference) as ours, OnnxRunner(path) as theirs:
        dataset = open_dataset(spots, ours.inputs, tiny.FACTS, names=tiny.CLASSES)
        return measure_detections(ours, theirs, dataset.batches(4), dataset.truths(), 0.0)


def test_masks_that_lie_mirrored_cost_masks_alone(reference, spots, folder):
    turned = tiny.detector()
    (shapes,) = (each for each in turned.graph.initializer if each.name == "shapes")
    mirrored = np.ascontiguousarray(tiny.MASKS[:, ::-1, ::-1])
    shapes.CopyFrom(onnx.numpy_helper.from_array(mirrored, "shapes"))
    found = measured(tiny.write(folder, "turned", turned), reference, spots)
    assert found.agreement == 1
    assert found.candidate.map == found.reference.map
    assert found.candidate_masks.map < 0.5 < found.reference_masks.map  # the disc is as it was


def test_a_detector_that_is_told_another_size_is_another(reference, spots, folder):
    """Told half of it, boxes end half-way: of one colour in three all lies before that."""
    blind = tiny.detector()
    half = onnx.helper.make_node("Mul", ["image_size", "half"], ["told"])
    for node in blind.graph.node:
        node.input[:] = ["told" if name == "image_size" else name for name in node.input]
    blind.graph.node.insert(0, half)
    found = measured(tiny.write(folder, "blind", blind), reference, spots)
    assert found.reference.map50 == pytest.approx(1)
    assert found.candidate.map50 == pytest.approx(1 / 3)


def test_without_masks_or_outlines_boxes_alone_are_measured(reference, spots, folder, tmp_path):
    bare = tiny.detector()
    del bare.graph.output[-1]
    path = tiny.write(folder, "bare", bare)
    found = measured(path, path, spots)
    assert found.candidate.map50 == pytest.approx(1)
    assert found.reference_masks is found.candidate_masks is None
    document = json.loads(spots.read_text())
    for entry in document["annotations"]:
        del entry["segmentation"]
    for picture in spots.parent.glob("*.png"):
        (tmp_path / picture.name).write_bytes(picture.read_bytes())
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    found = measured(reference, reference, tmp_path / "annotations.json")
    assert found.reference.map50 == pytest.approx(1)
    assert found.reference_masks is found.candidate_masks is None


def test_the_command_prints_both(reference, spots, capsys):
    assert main([str(reference), str(reference), "-q", "--allow-none", "--data", str(spots)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "mAP 50 100.00% reference, 100.00% candidate (+0.00 points) mask mAP 50-95" in printed
    assert "mask mAP 50 100.00% reference, 100.00% candidate (+0.00 points)" in printed


def test_inputs_of_other_names_are_matched_by_position(reference, spots, folder):
    other = tiny.renamed(tiny.detector(), image="x", image_size="extent")
    path = tiny.write(folder, "other", other)
    report = validate_models(reference, path, PLAIN, SampleOptions(spots))
    assert report.passed, report.failures
    assert report.accuracy.candidate.map50 == pytest.approx(1)


def test_cases_of_samples_hold_pictures_of_one_size(spots):
    inputs = (
        TensorSpec("image", "float32", ("n", 3, "h", "w")),
        TensorSpec("image_size", "float32", ("n", 2)),
    )
    dataset = open_dataset(spots, inputs, tiny.FACTS)
    cases = given_cases(dataset, inputs)
    assert [case.feeds(inputs)["image"].shape for case in cases] == [
        (2, 3, 96, 128), (1, 3, 128, 96), (1, 3, 64, 128), (1, 3, 96, 128)
    ]  # fmt: skip
    assert [len(case.kinds) for case in cases] == [2, 1, 1, 1]
    assert cases[0].feeds(inputs)["image_size"].tolist() == [[96, 128], [90, 128]]


def test_a_fixed_batch_that_no_two_pictures_fill_is_said(spots):
    inputs = (
        TensorSpec("image", "float32", (3, 3, "h", "w")),
        TensorSpec("image_size", "float32", (3, 2)),
    )
    dataset = open_dataset(spots, inputs, tiny.FACTS)
    with pytest.raises(InputError, match="holds 5 samples, the model takes 3"):
        given_cases(dataset, inputs)
