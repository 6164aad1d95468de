"""BatchedNMS in both forms, against the greedy loop."""

import numpy as np
import pytest

from simam_deploy.graph.detect import FORMS
from simam_deploy.graph.detect.bodies import with_detection_bodies, without_detection_nodes
from simam_deploy.op.detection import NOTHING
from tests.graph.detect import reference
from tests.graph.detect.graphs import nms_model
from tests.graph.onnx_text import run

GROUPS = 3


def drawn(number=70, batch=2, seed=0):
    """Give boxes on whole pixels, many with equal scores, some without an area, some none."""
    random = np.random.default_rng(seed)
    low = random.integers(0, 3, (batch, number, 2))
    sides = random.integers(3, 6, (batch, number, 2))
    sides[:, ::7] = random.choice([-4, 0], (batch, (number + 6) // 7, 2))
    boxes = np.concatenate([low, low + sides], 2)
    scores = random.integers(-4, 5, (batch, number)).astype(np.float32)
    scores[:, ::9] = NOTHING
    groups = random.integers(0, GROUPS, (batch, number))
    # The first overlaps the next by 1/2, by 3/4, and the inverted one not at all.
    boxes[:, 1:5] = [[0, 0, 4, 4], [0, 0, 4, 2], [0, 1, 4, 4], [4, 4, 0, 0]]
    scores[:, 1:5] = [[9, 8, 7, 6]]
    groups[:, 1:5] = 0
    return boxes.astype(np.float32), scores, groups


def kept(form, way, boxes, scores, groups, threshold, free=False):
    shape = ("n", "m") if free else scores.shape
    graph = nms_model(*shape, threshold=threshold, groups=GROUPS)
    way(graph, form)
    return run(graph, boxes=boxes, scores=scores, groups=groups)[0]


@pytest.mark.parametrize("free", [False, True], ids=["fixed", "free"])
@pytest.mark.parametrize("way", [without_detection_nodes, with_detection_bodies])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.75])
def test_it_is_the_contract(form, way, free, threshold):
    case = drawn()
    truth = reference.nms(*case, threshold)
    assert 30 < (truth > NOTHING).sum() < (case[1] > NOTHING).sum() - 20
    np.testing.assert_array_equal(kept(form, way, *case, threshold, free), truth)


@pytest.mark.parametrize("form", FORMS)
def test_many_boxes_in_one_place(form):
    """Chains of boxes that free each other: the Loop takes more rounds than one."""
    start = np.arange(60, dtype=np.float32)[:, None] * 0.4
    boxes = np.concatenate([start, 0 * start, start + 1, 0 * start + 1], 1)[None]
    scores = np.linspace(1, 0, 60, dtype=np.float32)[None]
    groups = np.zeros((1, 60), np.int64)
    truth = reference.nms(boxes, scores, groups, 0.4)
    assert (truth > NOTHING).sum() == 30
    result = kept(form, without_detection_nodes, boxes, scores, groups, 0.4)
    np.testing.assert_array_equal(result, truth)


@pytest.mark.parametrize("form", FORMS)
def test_none_one_and_equal_boxes(form):
    boxes = np.tile(np.float32([3, 3, 9, 9]), (3, 5, 1))
    scores = np.full((3, 5), NOTHING, np.float32)
    scores[1, 3] = 2
    scores[2] = 1
    result = kept(form, without_detection_nodes, boxes, scores, np.zeros((3, 5), np.int64), 0.5)
    assert (result[0] == NOTHING).all()
    assert result[1].tolist() == [NOTHING] * 3 + [2] + [NOTHING]
    assert result[2].tolist() == [1] + [NOTHING] * 4


def test_the_cases_tell_faults():
    boxes, scores, groups = case = drawn()
    truth = reference.nms(*case, 0.5)
    last_first = reference.nms(boxes[:, ::-1], scores[:, ::-1], groups[:, ::-1], 0.5)[:, ::-1]
    wrong = {
        "ties from the end": last_first,
        "at the threshold": reference.nms(*case, np.nextafter(0.5, 0)),
        "one group": reference.nms(boxes, scores, 0 * groups, 0.5),
        "what is no box": reference.nms(boxes, np.maximum(scores, NOTHING / 2), groups, 0.5),
        "all boxes": scores,
    }
    assert not [name for name, other in wrong.items() if (truth == other).all()]
