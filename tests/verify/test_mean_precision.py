"""Mean average precision: by hand, and by a second reading of COCO's definition."""

import numpy as np
import pytest

from simam_deploy.detect.decoding import Found
from simam_deploy.detect.overlap import overlaps
from simam_deploy.errors import InputError
from simam_deploy.source.samples import Truth
from simam_deploy.source.samples.placement import Placement
from simam_deploy.verify.mean_precision import mean_precision, require_pycocotools

HERE = Placement((100, 100), (100, 100), (0, 0))
RECALLS = np.linspace(0, 1, 101)


def truth(boxes, labels=None, crowd=None):
    count = len(boxes)
    labels = np.zeros(count, np.int64) if labels is None else np.array(labels, np.int64)
    marks = np.zeros(count, bool) if crowd is None else np.array(crowd)
    return Truth("p", np.array(boxes, float).reshape(-1, 4), labels, marks, HERE)


def found(boxes, scores, labels=None):
    labels = np.zeros(len(boxes), np.int64) if labels is None else np.array(labels, np.int64)
    return Found(np.array(boxes, float).reshape(-1, 4), np.array(scores, float), labels)


A, B, FAR = [10, 10, 30, 30], [50, 50, 80, 80], [85, 0, 95, 9]


@pytest.fixture(autouse=True)
def _pycocotools(request):
    if "missing" not in request.node.name:
        pytest.importorskip("pycocotools")


def test_a_false_one_between_two_right_ones():
    result = mean_precision([truth([A, B])], [found([A, FAR, B], [0.9, 0.8, 0.7])])
    expected = (51 + 50 * 2 / 3) / 101  # recall 0.5 at precision 1, then 2 of 3 are right
    assert (result.map, result.map50) == pytest.approx((expected, expected))


def test_an_overlap_of_seven_tenths_counts_up_to_it():
    short = [10, 10, 30, 24.001]  # 14.001 of 20 rows: 0.50, 0.55, 0.60, 0.65 and 0.70 of ten
    result = mean_precision([truth([A])], [found([short], [0.9])])
    assert (result.map, result.map50) == pytest.approx((0.5, 1.0))


def test_crowds_are_ignored_and_so_is_what_is_found_in_them():
    here = truth([A, B], crowd=[False, True])
    result = mean_precision([here], [found([B, B, A], [0.9, 0.8, 0.7])])
    assert result.map == pytest.approx(1.0)


def test_no_boxes_that_count():
    assert mean_precision([truth([])], [found([A], [0.9])]) is None
    assert mean_precision([truth([A], crowd=[True])], [found([], [])]) is None
    nothing = mean_precision([truth([A])], [found([], [])])
    assert (nothing.map, nothing.map50) == (0.0, 0.0)


def test_the_hundred_surest_count():
    boxes = [FAR] * 100 + [A]
    scores = np.linspace(0.9, 0.5, 101)
    assert mean_precision([truth([A])], [found(boxes, scores)]).map == 0.0
    assert mean_precision([truth([A])], [found(boxes[1:], scores[1:])]).map > 0.0


def brute_force(truths, detections, least):
    """Average precision of one class at one overlap, as its definition reads."""
    order = [(s, n, i) for n, each in enumerate(detections) for i, s in enumerate(each.scores)]
    order.sort(key=lambda each: -each[0])
    taken = [set() for _ in truths]
    right = []
    for _, number, i in order:
        over = overlaps(detections[number].boxes[i : i + 1], truths[number].boxes)[0]
        free = [j for j in range(len(over)) if j not in taken[number] and over[j] >= least]
        best = max(free, key=lambda j: over[j], default=None)
        right.append(best is not None)
        taken[number] |= {best} - {None}
    total = sum(len(each.boxes) for each in truths)
    recall = np.cumsum(right) / total
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    return np.mean([max(precision[recall >= r], default=0.0) for r in RECALLS])


def test_a_second_reading_of_the_definition_agrees():
    rng = np.random.default_rng(0)
    truths, detections = [], []
    for number in range(12):
        corner = rng.uniform(0, 60, (5, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(15, 40, (5, 2))], 1)
        moved = np.concatenate(
            [boxes + rng.normal(0, 2, boxes.shape), rng.permutation(boxes)[:2] + 9]
        )
        # 59 boxes, a prime: no recall lies on one of the 101, where rounding would decide.
        truths.append(truth(boxes[number == 0 :]))
        detections.append(found(moved, rng.uniform(0, 1, 7)))
    result = mean_precision(truths, detections)
    steps = np.linspace(0.5, 0.95, 10)
    each = [brute_force(truths, detections, least) for least in steps]
    assert 0.1 < np.mean(each) < each[0] < 0.95
    assert (result.map, result.map50) == pytest.approx((np.mean(each), each[0]), abs=1e-9)


def test_classes_weigh_alike():
    here = truth([A, B, FAR], [0, 0, 7])
    assert mean_precision([here], [found([A, B], [0.9, 0.8])]).map == pytest.approx(0.5)


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'simam-deploy\[detection\]'"):
        require_pycocotools()
