"""Outputs whose rows are a set, in the reference's order: what is the same then, what is not."""

import numpy as np
import pytest

from simam_deploy.graph.selection.outputs import Selection
from simam_deploy.verify.layout import Layout

SELECTED = {name: Selection("t", "TopK", 1) for name in ("boxes", "scores", "labels")}


def detections(seed=0, batch=2, count=40):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 500, (batch, count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(9, 90, (batch, count, 2))], 2)
    return {
        "boxes": boxes.astype(np.float32),
        "scores": np.sort(rng.uniform(0.3, 1, (batch, count)))[:, ::-1].astype(np.float32),
        "labels": rng.integers(0, 6, (batch, count)),
    }


def shuffled(outputs, seed=1):
    order = np.random.default_rng(seed).permutation(outputs["scores"].shape[1])
    return {name: array[:, order] for name, array in outputs.items()}


def arranged(one, other, selected=SELECTED):
    """Give how many rows are not found again, and how far each output of the others is off."""
    ours, theirs = Layout(selected).arranged(one, other)
    missing = sum(int((~found).sum()) for name, found in theirs.items() if "rows of" in name)
    assert all(found.all() for name, found in ours.items() if "rows of" in name)
    return missing, {name: np.abs(theirs[name] - one[name]).max() for name in one}


def test_another_order_is_the_same_set():
    assert arranged(detections(), shuffled(detections())) == (0, dict.fromkeys(SELECTED, 0))


def test_ties_in_another_order_are_the_same_set():
    tied = detections()
    tied["scores"][:] = 0.5
    tied["boxes"][:, 1::2] = tied["boxes"][:, ::2]
    assert arranged(tied, shuffled(tied))[1]["boxes"] == 0


def test_scores_that_shrank_are_found_beside_boxes_in_pixels():
    faulty = shuffled(detections())
    faulty["scores"] = faulty["scores"] * np.float32(0.95)
    missing, off = arranged(detections(), faulty)
    assert (missing, off["boxes"]) == (0, 0)
    assert off["scores"] == pytest.approx(0.05, rel=0.02)


def test_boxes_that_moved_by_a_pixel_are_found():
    faulty = shuffled(detections())
    faulty["boxes"] = faulty["boxes"] + np.float32(1)
    missing, off = arranged(detections(), faulty)
    assert (missing, off["scores"]) == (0, 0)
    assert off["boxes"] == pytest.approx(1, abs=1e-3)


def test_two_classes_that_were_swapped_are_other_rows():
    faulty = detections()
    labels = faulty["labels"].copy()
    faulty["labels"] = np.where(labels == 2, 5, np.where(labels == 5, 2, labels))
    assert arranged(detections(), faulty)[0] > np.isin(labels, (2, 5)).sum()


@pytest.mark.parametrize("padding", [0, -1])
def test_rows_that_are_lost_or_added_are_counted_and_padding_is_not(padding):
    fewer = detections()
    for array in fewer.values():
        array[1, 7] = padding
    assert arranged(detections(), fewer)[0] == 1
    assert arranged(fewer, detections())[0] == 1
    assert arranged(fewer, shuffled(fewer))[0] == 0


def test_a_count_of_rows_may_differ_other_sizes_may_not():
    some = {name: array[:, :-3] for name, array in detections().items()}
    assert arranged(detections(), some)[0] == 6
    for wrong in ({**some, "scores": detections()["scores"]}, detections(batch=1), {}):
        ours, theirs = Layout(SELECTED).arranged(detections(), wrong)
        assert ours.keys() == SELECTED.keys()
        assert theirs == wrong  # whose shapes are refused


def test_outputs_of_two_selections_are_two_sets():
    apart = {**SELECTED, "scores": Selection("other", "TopK", 1)}
    ours, _ = Layout(apart).arranged(detections(), detections())
    assert set(ours) - set(apart) == {"rows of boxes, labels", "rows of scores"}
    unknown = {"boxes": Selection("t", "If", None)}
    ours, _ = Layout(unknown).arranged(detections(), detections())
    assert set(ours) == set(SELECTED)


def test_masks_are_compared_with_the_rows_that_they_belong_to():
    one = detections()
    one["masks"] = np.random.default_rng(3).uniform(0, 1, (2, 40, 7, 7)).astype(np.float32)
    other = shuffled(one)
    other["masks"] = other["masks"].copy()
    other["masks"][1, 5, 3, 3] += 0.5
    missing, off = arranged(one, other, {**SELECTED, "masks": SELECTED["boxes"]})
    assert (missing, off["boxes"]) == (0, 0)
    assert off["masks"] == pytest.approx(0.5)


@pytest.mark.parametrize(("ours", "theirs", "missing"), [(0, 0, 0), (0, 3, 1), (3, 0, 3)])
def test_empty_sets(ours, theirs, missing):
    one, other = ({"y": np.zeros((n, 5), np.float32) + 1} for n in (ours, theirs))
    selected = {"y": Selection("t", "NonMaxSuppression", 0)}
    arranged_ours, arranged_theirs = Layout(selected).arranged(one, other)
    assert arranged_theirs["y"].shape == arranged_ours["y"].shape
    assert (~arranged_theirs["rows of y"]).sum() == missing


def test_a_count_of_rows_tells_of_a_set():
    """Where scores tie, how many there are is no more certain than which."""
    layout = Layout(counts=frozenset({"count"}))
    assert layout.is_set("count")
    assert not layout.is_set("logits")
