"""Outputs of detectors, by every convention that is understood."""

import numpy as np
import pytest

from simam_deploy.core.specs import TensorSpec
from simam_deploy.detect.decoding import find_convention, find_decoder, may_detect, may_mask
from simam_deploy.detect.overlap import overlaps, pair_boxes, suppress
from simam_deploy.errors import InputError
from tests.verify.detected import CLASSES, CONVENTIONS, cells, parts, rows, scene

SCENES = [scene(0), scene(1, 4), scene(2, 0)]


@pytest.mark.parametrize("make", CONVENTIONS.values(), ids=CONVENTIONS)
def test_every_convention_says_the_same(make):
    outputs = make(SCENES)
    decode, classes = find_decoder(outputs, "m.onnx")
    assert classes == (CLASSES if len(outputs) == 1 and "output0" in outputs
                       and make is not rows else None)  # fmt: skip
    for (boxes, scores, labels), found in zip(SCENES, decode(outputs, 0.25), strict=True):
        np.testing.assert_allclose(found.boxes, boxes, atol=1e-5)
        np.testing.assert_allclose(found.scores, scores, rtol=1e-6)
        assert found.labels.tolist() == labels.tolist()


@pytest.mark.parametrize("make", CONVENTIONS.values(), ids=CONVENTIONS)
def test_scores_are_above_what_is_asked_for(make):
    outputs = make(SCENES)
    decode, _ = find_decoder(outputs, "m.onnx")
    for (_, scores, _), found in zip(SCENES, decode(outputs, 0.5), strict=True):
        assert len(found.scores) == (scores > 0.5).sum()


@pytest.mark.parametrize("make", CONVENTIONS.values(), ids=CONVENTIONS)
def test_a_score_stands_where_it_is_said_to(make):
    """The product of the elements named is the score that was decoded."""
    outputs = make(SCENES)
    convention = find_convention(outputs, "m.onnx")
    seen = 0
    for number, found in enumerate(convention.decode(outputs, 0.25)):
        for place, label, score in zip(found.places, found.labels, found.scores, strict=True):
            factors = convention.factors(int(place), int(label))
            product = np.prod([outputs[name][(number, *index)] for name, index in factors])
            assert product == pytest.approx(score, rel=1e-6)
            seen += 1
    assert seen >= 5


def test_a_single_class_of_yolov5_is_no_list_of_rows():
    rng = np.random.default_rng(0)
    outputs = {
        "o": np.concatenate([rng.uniform(5, 60, (1, 50, 4)), rng.uniform(0, 1, (1, 50, 2))], 2)
    }
    assert find_decoder(outputs, "m")[1] == 1


def test_what_a_candidate_makes_of_nan_is_not_detected():
    outputs = cells(SCENES[:1])
    decode, _ = find_decoder(outputs, "m")
    broken = {"output0": outputs["output0"].copy()}
    broken["output0"][:, :, :4] = np.nan
    (found,) = decode(broken, 0.25)
    assert len(found.scores) == 4
    broken["output0"][:] = np.inf
    assert len(next(iter(decode(broken, 0.25))).scores) == 0


@pytest.mark.parametrize(
    "outputs",
    [
        {"logits": np.zeros((2, 10), np.float32)},
        {"maps": np.zeros((2, 5, 8, 8), np.float32)},
        {"raw": np.full((2, 10, 64), 3, np.float32)},
        {"square": np.zeros((2, 10, 10), np.float32)},
        {"narrow": np.zeros((2, 4, 64), np.float32)},
        {"empty": np.zeros((0, 10, 64), np.float32)},
        {"boxes": np.zeros((2, 9, 4)), "a": np.zeros((2, 9)), "b": np.zeros((2, 9))},
        {"torchvision": np.zeros((9, 4)), "labels": np.zeros(9, np.int64), "s": np.zeros(9)},
    ],
    ids=lambda outputs: next(iter(outputs)),
)
def test_what_is_not_understood_is_refused_in_one_line(outputs):
    with pytest.raises(InputError, match=r"m.onnx gives .*: understood of detectors are") as found:
        find_decoder(outputs, "m.onnx")
    assert "\n" not in str(found.value)


def test_labels_in_floats_are_known_by_their_name():
    outputs = parts(SCENES)
    outputs["labels"] = outputs["labels"].astype(np.float32)
    decode, _ = find_decoder(outputs, "m")
    assert next(iter(decode(outputs, 0.25))).labels.tolist() == SCENES[0][2].tolist()


@pytest.mark.parametrize(
    ("ranks", "detects"), [([2], False), ([2, 3], False), ([4], False), ([3], True),
                           ([3, 2, 2], True), ([2, 3, 2], True), ([2, 2], False), ([], False)]
)  # fmt: skip
def test_a_detector_is_told_from_a_classifier(ranks, detects):
    specs = [TensorSpec(f"o{i}", "float32", ("n",) * rank) for i, rank in enumerate(ranks)]
    assert may_detect(specs) == detects


OURS = {
    "num_dets": np.array([3, 0, 2], np.int64),
    "boxes": np.arange(3 * 4 * 4, dtype=np.float32).reshape(3, 4, 4) % 9 + [0, 0, 9, 9],
    "scores": np.tile(np.array([0.3, 0.9, 0.6, 0.8], np.float32), (3, 1)),
    "labels": np.array([[0, 1, 2, 1], [-1] * 4, [5, -1, -1, -1]], np.int64),
    "masks": np.arange(3 * 4 * 4, dtype=np.float32).reshape(3, 4, 2, 2) / 48,
}  # fmt: skip


def test_our_own_detectors_give_masks_with_their_boxes():
    """As many as num_dets says, but for those that have no label; the surest first."""
    decode, classes = find_decoder(OURS, "m")
    first, none, last = decode(OURS, 0.25)
    assert classes is None
    assert first.labels.tolist() == [1, 2, 0]
    np.testing.assert_array_equal(first.masks, OURS["masks"][0, [1, 2, 0]])
    np.testing.assert_array_equal(first.boxes, OURS["boxes"][0, [1, 2, 0]])
    assert (len(none.boxes), len(none.masks)) == (0, 0)
    assert (last.labels.tolist(), last.masks.shape) == ([5], (1, 2, 2))
    np.testing.assert_array_equal(first.above(0.5).masks, OURS["masks"][0, [1, 2]])


def test_boxes_without_an_area_are_none():
    boxes = np.array([[[1, 1, 5, 5], [2, 2, 2, 9], [3, 3, 9, 3], [9, 9, 1, 1]]] * 3, np.float32)
    outputs = {**OURS, "boxes": boxes, "num_dets": np.full(3, 4), "labels": np.zeros((3, 4), int)}
    (first, *_) = find_decoder(outputs, "m")[0](outputs, 0.25)
    np.testing.assert_array_equal(first.boxes, boxes[0, :1])
    np.testing.assert_array_equal(first.masks, OURS["masks"][0, :1])


def test_maps_of_the_whole_picture_are_no_masks_of_boxes():
    for shape in ((3, 4, 200, 200), (3, 4, 2, 3), (3, 5, 2, 2)):
        outputs = {**OURS, "masks": np.zeros(shape, np.float32)}
        assert next(iter(find_decoder(outputs, "m")[0](outputs, 0.25))).masks is None


def test_a_count_below_none_is_none():
    outputs = {**OURS, "num_dets": np.array([-1, -5, 9], np.int64)}
    found = list(find_decoder(outputs, "m")[0](outputs, 0.25))
    assert [len(each.boxes) for each in found] == [0, 0, 1]


@pytest.mark.parametrize(
    ("shapes", "detects", "masked"),
    [
        ([("n",), ("n", 100, 4), ("n", 100), ("n", 100), ("n", 100, 28, 28)], True, True),
        ([("n",), ("n", 100, 4), ("n", 100), ("n", 100)], True, False),
        ([("n", 116, 8400), ("n", 32, 160, 160)], True, False),  # YOLO's prototypes
        ([("n", 10), ("n", 49, 512), ("n", 512)], False, False),  # scores, tokens, their mean
    ],
)
def test_detectors_and_masks_are_told_by_shapes(shapes, detects, masked):
    specs = [TensorSpec(f"o{i}", "float32", shape) for i, shape in enumerate(shapes)]
    assert (may_detect(specs), may_mask(specs)) == (detects, masked)


def test_overlaps_by_hand():
    one = np.array([[0.0, 0, 2, 2], [5, 5, 5, 9], [3, 3, 1, 1]])
    other = np.array([[1.0, 0, 3, 2], [0, 0, 2, 2], [2, 0, 4, 2]])
    np.testing.assert_allclose(overlaps(one, other), [[1 / 3, 1, 0], [0, 0, 0], [0, 0, 0]])


def test_a_surer_box_of_the_same_class_suppresses():
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 9], [0, 0, 10, 6]])
    assert suppress(boxes, np.array([1, 1, 2, 1])).tolist() == [0, 2, 3]
    assert suppress(boxes, np.array([1, 2, 3, 4]), most=2).tolist() == [0, 1]


def test_pairs_overlap_most_first():
    a = np.array([[0.0, 0, 10, 10], [0, 0, 10, 8]])
    b = np.array([[0.0, 0, 10, 9.5], [0, 0, 10, 7]])
    pairs = pair_boxes(a, b, np.ones((2, 2), bool), 0.5)
    assert [(i, j) for i, j, _ in pairs] == [(0, 0), (1, 1)]
    assert pair_boxes(a, b, np.zeros((2, 2), bool), 0.5) == []
