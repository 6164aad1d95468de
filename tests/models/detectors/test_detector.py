"""Tiny detectors: batches, none and few detections, one box for all classes, one class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from simam_deploy.models.detectors.boxes import decode
from simam_deploy.models.detectors.settings import DetectorSettings
from simam_deploy.models.geometry import site_shapes
from simam_deploy.op.detection import NOTHING
from tests.models.detectors import naive, tiny


def _run(model: torch.nn.Module, image: Tensor, image_size: Tensor) -> list[Tensor]:
    with torch.no_grad():
        return list(model(image, image_size))


def _close(one: list[Tensor], other: list[Tensor]) -> bool:
    # A convolution of two images need not sum as that of one does.
    return all(
        torch.allclose(a.double(), b.double(), rtol=1e-4, atol=1e-3)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("mask", [False, True])
def test_a_batch_is_its_images_alone(mask: bool) -> None:
    model, (image, size) = tiny.detector(mask), tiny.inputs(2)
    both = _run(model, image, size)
    assert both[0].tolist() == [12, 12]
    for row in range(2):
        alone = _run(model, image[row : row + 1], size[row : row + 1])
        assert _close([output[row : row + 1] for output in both], alone)
    swapped = _run(model, image.flip(0), size.flip(0))
    assert _close([output.flip(0) for output in both], swapped)


def test_shapes_and_types() -> None:
    outputs = _run(tiny.detector(), *tiny.inputs(2))
    assert [(tuple(o.shape), o.dtype) for o in outputs] == [
        ((2,), torch.int64),
        ((2, 12, 4), torch.float32),
        ((2, 12), torch.float32),
        ((2, 12), torch.int64),
        ((2, 12, 28, 28), torch.float32),
    ]


def test_detections_lie_in_the_image_and_fall() -> None:
    image, size = tiny.inputs(2)
    _, boxes, scores, labels, masks = _run(tiny.detector(), image, size)
    assert (boxes >= 0).all()
    assert (boxes[..., 2:] <= size.flip(1)[:, None]).all()
    assert (boxes[..., 2:] == size.flip(1)[:, None]).any()  # the limit is reached: it is not slack
    assert (scores[:, 1:] <= scores[:, :-1]).all()
    assert ((labels >= 0) & (labels < 3)).all() and len(labels.unique()) > 1
    assert ((masks >= 0) & (masks <= 1)).all() and masks.std() > 0.1


@pytest.mark.parametrize("found", [0, 1, 5])
def test_few_detections(found: int) -> None:
    image, size = tiny.inputs(1)
    full = _run(tiny.detector(), image, size)
    scores = full[2][0]
    threshold = float((scores[found - 1] + scores[found]) / 2) if found else 1.0
    model = tiny.detector(settings=replace(tiny.SETTINGS, score_threshold=threshold))
    few = _run(model, image, size)
    assert few[0].tolist() == [found]
    empty = [0, 0.0, 0.0, -1, 0.0]
    for got, all_of_them, nothing in zip(few[1:], full[1:], empty[1:], strict=True):
        assert torch.equal(got[0, :found], all_of_them[0, :found])
        assert (got[0, found:] == nothing).all()


def test_a_blank_image_without_a_size_shows_nothing() -> None:
    outputs = _run(tiny.detector(), torch.zeros(1, 3, 64, 96), torch.zeros(1, 2))
    assert [bool(output.any()) for output in outputs] == [False, False, False, True, False]
    assert (outputs[3] == -1).all()


def test_proposals_of_no_size_are_dropped() -> None:
    image, size = tiny.inputs(1)
    model = tiny.detector(settings=replace(tiny.SETTINGS, min_size=40.0))
    proposals, found = model.rpn_head(model.neck(model.backbone(image)), size)
    sides = (proposals[..., 2:] - proposals[..., :2]).amin(-1)
    assert 0 < found.sum() < 40
    assert (sides[found] > 40).all() and not proposals[~found].any()


@pytest.mark.parametrize("scales", [(8.0,), (4.0, 6.5)])
def test_proposals_are_what_each_level_keeps(scales: tuple[float, ...]) -> None:
    """All anchors, in float64 and by numpy: as a table, sorted, suppressed level by level."""
    settings = replace(tiny.SETTINGS, scales=scales)
    model = tiny.detector(False, settings, anchors=settings.anchors).double()
    image, size = (tensor.double() for tensor in tiny.inputs(1))
    pyramid = model.neck(model.backbone(image))
    assert torch.equal(pyramid[4], pyramid[3][:, :, ::2, ::2])
    got, found = model.rpn_head(pyramid, size)
    kept = [
        _level(*model.rpn_head.heads(level), settings, stride, size)
        for level, stride in zip(pyramid, settings.strides, strict=True)
    ]
    boxes, logits = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    assert found.all() and len(logits) > 40
    assert np.abs(got[0].numpy() - boxes[np.argsort(-logits)[:40]]).max() <= 1e-9


def _level(
    logits: Tensor, deltas: Tensor, settings: DetectorSettings, stride: int, size: Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """The boxes that one level keeps, and their logits."""
    sides = [
        (scale * stride / ratio**0.5, scale * stride * ratio**0.5)
        for ratio in settings.ratios
        for scale in settings.scales
    ]
    anchors = [
        [x * stride - w / 2, y * stride - h / 2, x * stride + w / 2, y * stride + h / 2]
        for y in range(logits.shape[2])
        for x in range(logits.shape[3])
        for w, h in sides
    ]
    table = torch.tensor([anchors], dtype=torch.float64)
    moved = deltas[0].permute(1, 2, 0).reshape(1, -1, 4)
    boxes = decode(table, moved, settings.rpn_means, settings.rpn_stds, size)[0].numpy()
    scores = logits[0].permute(1, 2, 0).flatten().numpy()
    chosen = np.argsort(-scores)[: settings.nms_pre]
    boxes, scores = boxes[chosen], scores[chosen]
    scores[(boxes[:, 2:] <= boxes[:, :2]).any(1)] = NOTHING
    none = np.zeros((1, len(scores)), np.int64)
    kept = naive.nms(boxes[None], scores[None], none, settings.rpn_iou)[0] > NOTHING
    return boxes[kept], scores[kept]


@pytest.mark.parametrize(("classes", "threshold"), [(3, 0.05), (80, 0.0)])
def test_detections_are_what_each_class_keeps(classes: int, threshold: float) -> None:
    """Every class of every proposal, in float64 and by numpy, suppressed class by class.

    Of 80 classes that are 3200, all above the threshold, of which 2000 are candidates.
    """
    settings = replace(tiny.SETTINGS, iou_threshold=0.2, score_threshold=threshold)
    model = tiny.detector(False, settings, classes=classes).double()
    image, size = (tensor.double() for tensor in tiny.inputs(1))
    pyramid = model.neck(model.backbone(image))
    proposals, found = model.rpn_head(pyramid, size)
    logits, deltas = model.roi_head.bbox_head.heads(model.roi_head.align(proposals, pyramid, 7))
    scores = torch.exp(logits - logits.logsumexp(1, keepdim=True)).numpy()
    kept = []
    for label in range(classes):
        moved = deltas[None, :, 4 * label : 4 * label + 4]
        boxes = decode(proposals, moved, settings.box_means, settings.box_stds, size).numpy()
        wanted = np.where(scores[:, label] > threshold, scores[:, label], NOTHING)
        left = naive.nms(boxes, wanted[None], np.zeros((1, 40), np.int64), 0.2)[0]
        kept += [(s, label, *box) for s, box in zip(left, boxes[0], strict=True) if s > NOTHING]
    best = np.array(sorted(kept, reverse=True)[:12])
    _, got, got_scores, labels = model.roi_head.bbox_head(
        model.roi_head.align(proposals, pyramid, 7), proposals, found, size
    )
    assert len(kept) > 12
    assert labels[0].tolist() == best[:, 1].tolist()
    assert np.abs(got_scores[0].numpy() - best[:, 0]).max() <= 1e-12
    assert np.abs(got[0].numpy() - best[:, 2:]).max() <= 1e-9


def test_one_box_for_all_classes() -> None:
    """As a head of a box for each class whose boxes are all the same."""
    agnostic = tiny.detector(class_agnostic=True)
    each = tiny.detector()
    for part in ("weight", "bias"):
        one = getattr(agnostic.roi_head.bbox_head.fc_reg, part)
        setattr(each.roi_head.bbox_head.fc_reg, part, torch.nn.Parameter(torch.cat([one] * 3)))
    assert _close(_run(agnostic, *tiny.inputs(2)), _run(each, *tiny.inputs(2)))


def test_one_class() -> None:
    num_dets, _, _, labels, _ = _run(tiny.detector(classes=1), *tiny.inputs(2))
    assert num_dets.sum() > 2
    assert set(labels.unique().tolist()) <= {0, -1}


def test_each_detection_has_the_mask_of_its_class() -> None:
    """The plane that is computed alone is one of those that the whole head gives."""
    model, (image, size) = tiny.detector(), tiny.inputs(2)
    head, (_, boxes, _, labels, masks) = model.roi_head.mask_head, _run(model, image, size)
    features = model.roi_head.align(boxes, model.neck(model.backbone(image)), 14)
    for layer in head.convs:
        features = layer(features).relu()
    planes = head.conv_logits(head.upsample(features).relu()).sigmoid().view(2, 12, 3, 28, 28)
    wanted = planes.gather(2, labels[..., None, None, None].expand(-1, -1, 1, 28, 28))[:, :, 0]
    assert torch.allclose(masks, wanted, atol=1e-5)


def test_no_more_detections_than_candidates() -> None:
    settings = replace(tiny.SETTINGS, max_proposals=4, max_detections=100)
    num_dets, boxes, *_ = _run(tiny.detector(settings=settings), *tiny.inputs(1))
    assert boxes.shape == (1, 12, 4)  # 4 proposals of 3 classes
    assert num_dets <= 12


def test_boxes_are_decoded() -> None:
    boxes = torch.tensor([[[10.0, 20.0, 30.0, 60.0]]])
    size = torch.tensor([[100.0, 50.0]])

    def of(*said: float, means: tuple[float, ...] = (0.0,) * 4) -> list[float]:
        deltas = torch.tensor([[said]], dtype=torch.float32)
        got = decode(boxes, deltas, means, (0.1, 0.1, 0.2, 0.2), size)
        return [round(value, 3) for value in got[0, 0].tolist()]

    assert of(0, 0, 0, 0) == [10, 20, 30, 60]
    assert of(1, -1, 0, 0) == [12, 16, 32, 56]
    assert of(0, 0, 5 * np.log(2.0), 5 * np.log(0.5)) == [0, 30, 40, 50]
    assert of(0, 0, 100, -100) == [0, 39.68, 50, 40.32]  # at most 62.5 times as large or small
    assert of(100, 100, 0, 0) == [50, 100, 50, 100]
    assert of(0, 0, 0, 0, means=(0.1, -0.1, 0, 0)) == [12, 16, 32, 56]


def test_every_simam_site_is_seen_without_weights() -> None:
    model = tiny.detector()

    class Alone(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, image: Tensor) -> tuple[Tensor, ...]:
            outputs: tuple[Tensor, ...] = self.model(image, image.new_ones((1, 2)))
            return outputs

    shapes = site_shapes(Alone(), (1, 3, 64, 96))
    assert len(shapes) == 8
    assert shapes["model.backbone.layer1.0.conv2.1"] == (1, 8, 16, 24)
