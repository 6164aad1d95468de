"""Two detectors on the same samples."""

import json
import re

import numpy as np
import onnx_ir as ir
import pytest
import torch
from PIL import Image

from simam_deploy import InputError, NetworkOptions, SampleOptions, UsageError, export_onnx
from simam_deploy.cli.validate import main
from simam_deploy.core.specs import TensorSpec
from simam_deploy.graph.file.write import write_model
from simam_deploy.pipeline.validate import validate_models
from simam_deploy.source.asked import asked_preprocessing
from simam_deploy.source.samples import Batch, open_dataset
from simam_deploy.verify.bisect import convert
from simam_deploy.verify.detections import AGREEMENT, measure_detections
from simam_deploy.verify.report import Detections
from tests.graph.onnx_text import model
from tests.precision.half.graphs import FP16
from tests.verify.detected import CONVENTIONS, Table, cells, parts, scene, truth
from tests.verify.squares import make

SCENES = [scene(seed, 6) for seed in range(5)]


def batches(count, size):
    places = np.arange(count, dtype=np.float32)[:, None]
    for start in range(0, count, size):
        yield Batch(places[start : start + size], None)


def measure(candidate, truths=None, reference=None, size=2, required=1.0):
    reference = Table(cells(SCENES)) if reference is None else reference
    known = None if truths is None else iter(truths)
    return measure_detections(reference, candidate, batches(5, size), known, required)


def changed(change):
    """Scenes after a fault, in the convention of parts."""
    return Table(parts([change(*each) for each in SCENES]))


REFERENCE = Table(parts(SCENES))


@pytest.mark.parametrize("make", CONVENTIONS.values(), ids=CONVENTIONS)
@pytest.mark.parametrize(("size", "batch"), [(2, "n"), (5, "n"), (4, 4)])
def test_a_detector_agrees_with_itself(make, size, batch):
    both = Table(make(SCENES), batch)
    found = measure(both, reference=both, size=size)
    assert (found.samples, found.found, found.lost, found.added) == (5, 30, 0, 0)
    assert (found.agreement, found.mean_iou, found.score_difference) == (1.0, 1.0, 0.0)
    assert found.passed
    assert found.reference is found.candidate is None


@pytest.mark.parametrize("recipe", ["yolo", "letterbox=corner", "resize=640x640"])
def test_boxes_of_letterboxed_pictures_are_measured_in_the_pictures(tmp_path, recipe):
    """A detector that is right in its input, 640 x 640, by ultralytics' own arithmetic."""
    pytest.importorskip("pycocotools", reason="needs the extra `detection`")
    sizes = [(37, 91), (91, 37), (64, 64), (50, 33), (30, 99)]
    found = []
    for number, (height, width) in enumerate(sizes):
        boxes, scores, labels = scene(number)
        boxes = boxes / 64 * [width, height, width, height]
        write_picture(tmp_path, f"{number}.png", (height, width), boxes, labels)
        ratio = min(640 / height, 640 / width)
        scale = [ratio] * 4 if "resize" not in recipe else [640 / width, 640 / height] * 2
        left, top = (round((640 - round(n * ratio)) / 2 - 0.1) for n in (width, height))
        shift = [left, top] * 2 if recipe == "yolo" else [0] * 4
        found.append((boxes * scale + shift, scores, labels))
    spec = TensorSpec("images", "float32", ("n", 3, 640, 640))
    facts = asked_preprocessing(recipe, spec, spec.shape)
    truths = list(open_dataset(tmp_path, [spec], facts).truths())
    right = measure(Table(cells(found)), truths, Table(cells(found)))
    assert right.reference.map50 == right.candidate.map50 == 1.0
    assert right.reference.map > 0.95
    shifted = Table(cells([(boxes + 40, s, c) for boxes, s, c in found]))
    assert measure(shifted, truths, shifted).reference.map < 0.9


def write_picture(folder, name, size, boxes, labels):
    """A picture, and its boxes as YOLO has them."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(exist_ok=True)
    height, width = size
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(folder / "images" / name)
    whole = np.array([width, height, width, height])
    rows = np.concatenate([boxes[:, :2] + boxes[:, 2:], 2 * (boxes[:, 2:] - boxes[:, :2])], 1) / 2
    lines = (f"{c} {' '.join(map(str, row))}" for c, row in zip(labels, rows / whole, strict=True))
    (folder / "labels" / name).with_suffix(".txt").write_text("\n".join(lines))


def shuffle(boxes, scores, labels):
    order = np.random.default_rng(0).permutation(len(labels))
    return boxes[order], scores[order], labels[order]


def test_another_order_is_the_same():
    assert measure(changed(shuffle), reference=REFERENCE).agreement == 1.0


def test_scores_that_shrank_and_boxes_that_moved_are_told():
    shrunk = measure(changed(lambda b, s, c: (b, s * 0.95, c)), reference=REFERENCE)
    largest = max(scores[0] for _, scores, _ in SCENES)
    assert shrunk.score_difference == pytest.approx(0.05 * largest, rel=1e-3)
    moved = measure(changed(lambda b, s, c: (b + 1, s, c)), reference=REFERENCE)
    assert 0.6 < moved.mean_iou < 0.85


@pytest.mark.parametrize(
    ("fault", "lost", "added"),
    [
        (lambda b, s, c: (b, s, np.where(c == 1, 2, np.where(c == 2, 1, c))), None, None),
        (lambda b, s, c: (b, s, (c + 1) % 3), 30, 30),
        (lambda b, s, c: (b[1:], s[1:], c[1:]), 5, 0),
        (lambda b, s, c: (np.tile(b, (2, 1))[:7], np.tile(s, 2)[:7], np.tile(c, 2)[:7]), 0, 5),
        (lambda b, s, c: (b + 8, s, c), 30, 30),
        (lambda b, s, c: (b, s * 0.1, c), 30, 0),
    ],
    ids=["two classes swapped", "off by one", "row lost", "row added", "moved", "unsure"],
)
def test_planted_faults_fail(fault, lost, added):
    found = measure(changed(fault), reference=REFERENCE, required=AGREEMENT["bf16"])
    swapped = sum(int(np.isin(labels, (1, 2)).sum()) for _, _, labels in SCENES)
    assert (found.lost, found.added) == (swapped if lost is None else lost,
                                         swapped if added is None else added)  # fmt: skip
    assert found.agreement == pytest.approx(1 - (found.lost + found.added) / (
        2 * 30 - found.lost + found.added))  # fmt: skip
    assert found.agreement < 0.95
    assert not found.passed


def test_precision_of_both_against_boxes_that_are_known():
    pytest.importorskip("pycocotools")
    truths = [truth(each) for each in SCENES]
    found = measure(Table(cells(SCENES)), truths)
    assert (found.reference.map, found.candidate.map50) == pytest.approx((1.0, 1.0))
    fewer = measure(changed(lambda b, s, c: (b[:4], s[:4], c[:4])), truths, REFERENCE)
    assert fewer.reference.map == pytest.approx(1.0)
    assert fewer.candidate.map < 0.8
    swapped = measure(changed(lambda b, s, c: (b, s, (c + 1) % 3)), truths, REFERENCE)
    assert swapped.candidate.map50 < 0.1
    moved = measure(changed(lambda b, s, c: (b + 1, s, c)), truths, REFERENCE)
    assert moved.candidate.map50 == pytest.approx(1.0)
    assert moved.candidate.map < 0.7


def test_unsure_detections_count_for_precision_alone():
    pytest.importorskip("pycocotools")
    unsure = Table(parts([(b, s * 0.2, c) for b, s, c in SCENES]))
    sure_once = Table(
        parts([(b, np.where(np.arange(6) == 0, 0.5, s * 0.2), c) for b, s, c in SCENES])
    )
    found = measure(sure_once, [truth(each) for each in SCENES], sure_once)
    assert found.found == 5
    assert found.reference.map == pytest.approx(1.0)
    with pytest.raises(InputError, match="neither model detects anything with a score above 0.25"):
        measure(unsure, reference=unsure)


def test_boxes_are_compared_in_pixels_of_the_picture():
    pytest.importorskip("pycocotools")
    lying = [truth(each, picture=(64, 128), scaled=(64, 64)) for each in SCENES]
    assert measure(REFERENCE, lying, REFERENCE).reference.map == pytest.approx(1.0)


def test_a_label_beyond_the_classes_is_refused():
    pytest.importorskip("pycocotools")
    wrong = [truth((b, s, c + 2)) for b, s, c in SCENES]
    with pytest.raises(InputError, match="p has label .*, the model knows 3 classes"):
        measure(Table(cells(SCENES)), wrong)


def test_a_candidate_of_another_shape_detects_nothing():
    found = measure(Table({"output0": np.zeros((5, 3), np.float32)}))
    assert (found.lost, found.added, found.agreement) == (30, 0, 0.0)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(InputError, match="no samples"):
        measure_detections(REFERENCE, REFERENCE, iter(()), None, 0.0)
    two = Table(parts(SCENES))
    two.inputs *= 2
    with pytest.raises(UsageError, match="the samples give one input; the model takes x, x"):
        measure(two, reference=two)


def detector(scale=1.0):
    """A SimAM before a head (N, 4 + 3, 64): white squares of 8 pixels give boxes at their cells."""
    grid = (np.arange(8) * 8 + 4).astype(np.float32)
    y, x = np.meshgrid(grid, grid, indexing="ij")
    sizes = np.full((1, 4, 64), 9, np.float32)
    sizes[0, 0], sizes[0, 1] = x.ravel(), y.ravel()
    return model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[n,3,64,64] x) => (float[n,7,64] y)
            <int64[2] axes = {2, 3}, int64[3] flat = {0, 3, 64}, int64[1] first = {0},
             float ulp = {0.0001}, float four = {4}, float half = {0.5}, float rest = {63}> {
            p = AveragePool<kernel_shape = [8, 8], strides = [8, 8]>(x)
            m = ReduceMean(p, axes)
            d = Sub(p, m)
            dd = Mul(d, d)
            s = ReduceSum(dd, axes)
            v = Div(s, rest)
            w = Add(v, ulp)
            f = Mul(w, four)
            e = Div(dd, f)
            h = Add(e, half)
            g = Sigmoid(h)
            q = Mul(p, g)
            c = Conv<kernel_shape = [1, 1]>(q, weight, bias)
            o = Sigmoid(c)
            scores = Reshape(o, flat)
            scaled = Mul(scores, factor)
            like = ReduceMean<keepdims = 1>(scores, one_axis)
            zero = Sub(like, like)
            boxes = Add(zero, grid)
            y = Concat<axis = 1>(boxes, scaled)
        }""",
        weight=(12 * np.eye(3)).reshape(3, 3, 1, 1).astype(np.float32),
        bias=np.full(3, -6, np.float32),
        grid=sizes,
        one_axis=np.array([1]),
        factor=np.array(scale, np.float32),
    )


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """COCO's annotations of pictures of 128 x 64 with a red, a green and a blue square each."""
    folder = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(6):
        pixels = np.zeros((64, 128, 3), np.uint8)
        for label, place in enumerate(rng.permutation(64)[:3]):
            x, y = int(place % 8) * 16, int(place // 8) * 8
            pixels[y : y + 8, x : x + 16, label] = 255
            box = {"image_id": number, "category_id": label + 1, "bbox": [x, y, 16, 8]}
            annotations.append(box)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": 128, "height": 64})
    names = [{"id": i + 1, "name": name} for i, name in enumerate(("red", "green", "blue"))]
    whole = {"images": images, "annotations": annotations, "categories": names}
    (folder / "annotations.json").write_text(json.dumps(whole))
    return folder / "annotations.json"


@pytest.fixture(scope="module")
def float32(tmp_path_factory):
    path = tmp_path_factory.mktemp("float32") / "squares.onnx"
    write_model(detector(), path)
    return path


def test_a_detector_that_was_converted_keeps_its_precision(float32, squares, tmp_path):
    pytest.importorskip("pycocotools")
    write_model(convert(detector(), FP16, ()), tmp_path / "half.onnx")
    report = validate_models(float32, tmp_path / "half.onnx", samples=SampleOptions(squares))
    found = report.accuracy
    assert isinstance(found, Detections)
    assert (found.samples, found.found, found.lost, found.added) == (6, 18, 0, 0)
    assert found.required == AGREEMENT["fp16"]
    assert found.reference.map50 == found.candidate.map50 == pytest.approx(1.0)
    assert any(result.case.startswith("annotations.json") for result in report.validation.results)
    assert report.passed, report.failures


def test_the_command_prints_the_loss_and_keeps_to_the_bound(float32, squares, tmp_path, capsys):
    pytest.importorskip("pycocotools")
    faulty = detector()
    weight = faulty.graph.initializers["weight"]
    turned = np.roll(weight.const_value.numpy(), 1, axis=0)
    weight.const_value = ir.tensor(turned, name="weight")
    write_model(faulty, tmp_path / "faulty.onnx")
    arguments = [str(float32), str(tmp_path / "faulty.onnx"), "-q", "--data", str(squares)]
    assert main([*arguments, "--min-agreement", "0.5"]) == 3
    streams = capsys.readouterr()
    printed = " ".join(streams.out.split())
    assert "agreement F1 0.00% of 18 detections in 6 samples (at least 50.00%)" in printed
    assert "detections 18 lost, 18 added mAP 50-95" in printed
    assert re.search(r"mAP 50 100.00% reference, 1.\d\d% candidate \(-98.\d\d points\)", printed)
    assert "! agreement 0.0000 on 6 samples (0.5)" in printed
    assert main([*arguments[:1], *arguments[:1], *arguments[2:], "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["accuracy"]["candidate"]["map50"] == pytest.approx(1.0)
    assert document["accuracy"]["lost"] == 0


def test_pictures_without_boxes_give_agreement_alone(float32, tmp_path):
    samples = np.zeros((2, 3, 64, 64), np.float32)
    samples[0, 0, 8:16, 8:16] = samples[1, 2, 40:48, 40:48] = 1
    np.save(tmp_path / "x.npy", samples)
    found = validate_models(float32, float32, samples=SampleOptions(tmp_path / "x.npy")).accuracy
    assert (found.samples, found.found, found.agreement, found.reference) == (2, 2, 1.0, None)


def test_a_module_whose_outputs_are_not_known_before_it_is_run_detects(tmp_path):
    """Pictures without boxes: by the outputs' shapes alone, which the exported file states."""
    network = NetworkOptions(model="tests.verify.squares:make", input_shape=(1, 3, 64, 64))
    weights = tmp_path / "squares.pth"
    torch.save(make().state_dict(), weights)
    exported = export_onnx(weights, tmp_path / "squares.onnx", network=network).path
    samples = np.zeros((2, 3, 64, 64), np.float32)
    samples[0, 0, 8:16, 8:16] = samples[1, 2, 40:48, 40:48] = 1
    np.save(tmp_path / "x.npy", samples)
    given = SampleOptions(tmp_path / "x.npy")
    found = validate_models(weights, exported, network, given).accuracy
    assert isinstance(found, Detections)
    assert (found.found, found.lost, found.added, found.agreement) == (2, 0, 0, 1.0)
