"""Whole detectors find what mmdetection itself found."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from simam_deploy.detect.masks import paste
from simam_deploy.models.detectors.build import build_detector
from simam_deploy.models.detectors.detector import Detector
from simam_deploy.models.detectors.identify import identify_detector
from simam_deploy.models.detectors.settings import DetectorSettings
from tests.golden import Output
from tests.golden.detectors import CASES, INPUTS, Input, golden_detector, pair
from tests.marks import slow, slow_but

BOTH = [f"{case}.{name}" for case in CASES for name in INPUTS]
SETTINGS = DetectorSettings()


@functools.cache
def _golden(case: str):
    return golden_detector(case)


def _recorded(which: str) -> tuple[str, Input]:
    case, name = which.split(".")
    return case, _golden(case).inputs[name]


def _build(case: str, settings: DetectorSettings = SETTINGS) -> Detector:
    golden = _golden(case)
    identity = identify_detector({key: tuple(t.shape) for key, t in golden.state_dict.items()})
    return build_detector(identity, settings, golden.state_dict, golden.e_lambda)


@contextmanager
def _watched(model: Detector, *names: str) -> Iterator[dict[str, list[Tensor]]]:
    """Collect the outputs of modules, in the order in which they are called."""
    seen: dict[str, list[Tensor]] = {name: [] for name in names}

    def watch(name: str, module: nn.Module) -> None:
        def note(_: nn.Module, __: object, output: Tensor | list[Tensor]) -> None:
            seen[name].extend([output] if isinstance(output, Tensor) else output)

        hooks.append(module.register_forward_hook(note))

    hooks: list[torch.utils.hooks.RemovableHandle] = []
    for name in names:
        watch(name, model.get_submodule(name))
    yield seen
    for hook in hooks:
        hook.remove()


def _run(model: Detector, case: Input) -> list[np.ndarray]:
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        outputs = model(case.image.to(dtype), case.image_size.to(dtype))
    return [output[0].numpy() for output in outputs]


def _off(wanted: tuple[Output, ...], got: list[Tensor]) -> float:
    """The worst difference, relative to the largest value of its map."""
    return max(
        float(np.abs(tensor.numpy().ravel()[output.index] - output.values).max() / output.largest)
        for output, tensor in zip(wanted, got, strict=True)
    )


@pytest.mark.parametrize("which", slow_but(BOTH[:1], BOTH))
def test_every_proposal_and_detection_is_found(which: str) -> None:
    case, recorded = _recorded(which)
    model = _build(case)
    heads = ("rpn_head.rpn_cls", "rpn_head.rpn_reg")
    with _watched(model, "backbone", "neck", "rpn_head", *heads) as seen:
        num_dets, boxes, scores, labels, *masks = _run(model, recorded)
    # Measured: 4e-6 behind the backbone, 2e-5 behind the RPN's coarsest level.
    assert _off(recorded.maps["backbone"], seen["backbone"]) <= 1e-4
    assert _off(recorded.maps["fpn"], seen["neck"]) <= 1e-4
    assert _off(recorded.maps["rpn_cls"], seen[heads[0]]) <= 1e-4
    assert _off(recorded.maps["rpn_reg"], seen[heads[1]]) <= 1e-4
    proposals, none = seen["rpn_head"][0][0].numpy(), np.zeros(1000)
    found = pair(recorded.proposals, none, proposals, recorded.proposals[:, 4], none)
    assert (found.lost, found.added) == (0, 0)
    assert num_dets == 100
    pairs = recorded.pairs(boxes, scores, labels)
    assert (pairs.lost, pairs.added) == (0, 0)
    assert pairs.score <= 1e-3  # measured: 0.006 px and 1.9e-4; mmdet's own float32: 0.025 px
    if masks:
        # Measured: 1.0e-3 where a box is off by 0.006 px.
        assert np.abs(masks[0][pairs.index[:10]] - recorded.mask_prob).max() <= 2e-3
        first = pairs.index[: len(recorded.masks)]
        boxes = boxes[first] / recorded.scale_factor
        pasted = paste(masks[0][first], boxes, *recorded.masks.shape[1:])
        assert (pasted != recorded.masks).sum() <= 20  # of 20 masks


@pytest.mark.parametrize("which", slow(BOTH))
def test_the_heads_on_the_recorded_proposals(which: str) -> None:
    case, recorded = _recorded(which)
    model = _build(case)
    proposals = torch.from_numpy(recorded.proposals[None, :, :4])
    with torch.no_grad():
        pyramid = model.neck(model.backbone(recorded.image))
        features = model.roi_head.align(proposals, pyramid, 7)
        logits, deltas = model.roi_head.bbox_head.heads(features)
    assert _off(recorded.maps["roi_feats"], [features]) <= 1e-4  # measured: 7e-6, 1.2e-5, 6e-6
    assert _off(recorded.maps["cls_score"], [logits]) <= 1e-4
    assert _off(recorded.maps["bbox_pred"], [deltas]) <= 1e-4


@pytest.mark.parametrize("which", slow(BOTH[3:]))
def test_in_float64(which: str) -> None:
    """What float32 leaves is rounding: no arithmetic of ours is another than mmdetection's."""
    case, recorded = _recorded(which)
    _, boxes, scores, labels, masks = _run(_build(case).double(), recorded)
    pairs = recorded.pairs(boxes, scores, labels)
    assert (pairs.lost, pairs.added) == (0, 0)
    # mmdet's anchors are float32 even then: sides of 724 px off by 3e-5, which a head makes up to
    # 62 times as large. Measured: 7e-4 px, 2.6e-5 and 1.2e-4.
    assert pairs.pixels <= 2e-3
    assert pairs.score <= 1e-4
    assert np.abs(masks[pairs.index[:10]] - recorded.mask_prob).max() <= 3e-4


@pytest.mark.parametrize("found", slow([0, 1, 37]))
def test_fewer_detections(found: int) -> None:
    """Greedy suppression never lets a lower score touch a higher one: the others stay the same."""
    recorded = _golden(CASES[0]).inputs["padded"]
    falling = np.sort(recorded.dets[:, 4])[::-1]
    threshold = float((falling[found] + falling[found - 1]) / 2) if found else 1.0
    model = _build(CASES[0], replace(SETTINGS, score_threshold=threshold))
    num_dets, boxes, scores, labels = _run(model, recorded)
    assert num_dets == found
    assert not boxes[found:].any() and not scores[found:].any() and (labels[found:] == -1).all()
    pairs = recorded.pairs(boxes[:found], scores[:found], labels[:found])
    assert (pairs.lost, pairs.added) == (100 - found, 0)


WRONG = {
    "clipped to the padded size": lambda case: replace(
        case, image_size=torch.tensor([case.image.shape[2:]], dtype=torch.float32)
    ),
    "padding that is not 0": lambda case: replace(case, image=case.image + 1e-3),
}
OTHER_SETTINGS = {
    "two samples a bin": {"sampling_ratio": 2},
    "another level": {"finest_scale": 64.0},
    "one box more or less": {"rpn_iou": 0.69},
    "the coder of the RPN": {"box_stds": (1.0, 1.0, 1.0, 1.0)},
    "anchors' ratios turned": {"ratios": (2.0, 1.0, 0.5)},
}


@pytest.mark.parametrize("fault", slow([*WRONG, *OTHER_SETTINGS]))
def test_a_fault_shows(fault: str) -> None:
    recorded = _golden(CASES[0]).inputs["padded"]
    model = _build(CASES[0], replace(SETTINGS, **OTHER_SETTINGS.get(fault, {})))
    _, boxes, scores, labels = _run(model, WRONG.get(fault, lambda case: case)(recorded))
    pairs = recorded.pairs(boxes, scores, labels)
    assert pairs.lost or pairs.score > 1e-3
