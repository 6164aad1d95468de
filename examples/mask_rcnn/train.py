"""Train a small Mask R-CNN for some seconds: writes epoch_1.pth, pictures/ and picture.png.

The detector is simam-deploy's own, whose keys are mmdetection's, and so is the file that it is
saved in: weights, and a configuration as text. mmdetection is not needed.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from config import CONFIG, MEAN, SETTINGS, STD, new_detector
from simam_deploy.models.detectors.boxes import take
from simam_deploy.models.detectors.detector import Detector, RoIHead
from simam_deploy.models.detectors.rpn import RPN
from stickers import CLASSES, Stuck, photograph, piece, stick

SIDE, BATCH, STEPS = 128, 6, 120
NEAR, FAR = 0.5, 0.3
"""From which overlap on a box is an object's, and below which it is none's."""


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Give the intersection over union of boxes (N, M, 4) with (N, K, 4): (N, M, K)."""
    low = torch.maximum(a[:, :, None, :2], b[:, None, :, :2])
    high = torch.minimum(a[:, :, None, 2:], b[:, None, :, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    areas = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (a, b)]
    return common / (areas[0][:, :, None] + areas[1][:, None] - common)


def deltas(boxes: Tensor, wanted: Tensor, stds: Sequence[float]) -> Tensor:
    """Say (..., 4) what makes the wanted boxes of these: what `decode` takes back."""
    size = boxes[..., 2:] - boxes[..., :2]
    shift = (wanted[..., :2] + wanted[..., 2:] - boxes[..., :2] - boxes[..., 2:]) / 2 / size
    ratio = (wanted[..., 2:] - wanted[..., :2]) / size
    return torch.cat([shift, ratio.log()], -1) / torch.tensor(stds)


def anchors(pyramid: Sequence[Tensor]) -> Tensor:
    """Give the anchors (1, M, 4), one a cell, of all levels."""
    found = []
    for level, stride in zip(pyramid, SETTINGS.strides, strict=True):
        rows, columns = (torch.arange(side) * stride for side in level.shape[2:])
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        half = stride * SETTINGS.scales[0] / 2
        corners = torch.tensor([-half, -half, half, half])
        found.append(torch.stack([x, y, x, y], -1).flatten(0, 1) + corners)
    return torch.cat(found)[None]


def rpn_loss(rpn: RPN, pyramid: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """Hold the RPN's logits and deltas against boxes (N, K, 4)."""
    logits, said = zip(*map(rpn.heads, pyramid), strict=True)
    logits = torch.cat([level.flatten(1) for level in logits], 1)
    said = torch.cat([level.flatten(2).mT for level in said], 1)
    own = anchors(pyramid).expand(len(boxes), -1, -1)
    shares = overlap(own, boxes)
    near = ((shares > NEAR) | (shares == shares.amax(1, keepdim=True))).any(2)
    far = ~near & (shares.amax(2) < FAR)
    wanted = deltas(own, take(boxes, shares.argmax(2)), SETTINGS.rpn_stds)
    found = functional.softplus(-logits[near]).mean() + functional.softplus(logits[far]).mean()
    return found + functional.smooth_l1_loss(said[near], wanted[near])


def box_loss(head: RoIHead, pyramid: Sequence[Tensor], rois: Tensor, stuck: Stuck) -> Tensor:
    """Hold the classes and boxes of RoIs (N, R, 4) against what is there."""
    shares, which = overlap(rois, stuck.boxes).max(2)
    kinds = torch.where(shares > NEAR, stuck.labels.gather(1, which), len(CLASSES)).flatten()
    logits, said = head.bbox_head.heads(head.align(rois, pyramid, head.roi_size))
    near = kinds < len(CLASSES)
    said = said.unflatten(1, (-1, 4))[near, kinds[near]]
    wanted = deltas(rois, take(stuck.boxes, which), SETTINGS.box_stds).flatten(0, 1)[near]
    return functional.cross_entropy(logits, kinds) + functional.smooth_l1_loss(said, wanted)


def mask_loss(head: RoIHead, pyramid: Sequence[Tensor], rois: Tensor, stuck: Stuck) -> Tensor:
    """Hold the masks of RoIs (N, K, 4), each near its own object, against what is there."""
    found = head.mask_head(head.align(rois, pyramid, SETTINGS.mask_size), stuck.labels)
    side = found.shape[-1]
    steps = (torch.arange(side) + 0.5) / side
    low, size = rois[..., :2, None], (rois[..., 2:] - rois[..., :2])[..., None]
    x, y = (low + steps * size).long().clamp(0, SIDE - 1).unbind(2)
    wanted = stuck.masks.gather(2, y[..., None].expand(-1, -1, -1, SIDE))
    wanted = wanted.gather(3, x[:, :, None].expand(-1, -1, side, -1)).float()
    return functional.binary_cross_entropy(found, wanted)


def loss(detector: Detector, image: Tensor, stuck: Stuck) -> Tensor:
    """Compare what a detector makes of images (N, 3, H, W) with what is there."""
    pyramid = detector.neck(detector.backbone(image))
    sizes = image.new_tensor(image.shape[2:]).expand(len(image), 2)
    with torch.no_grad():
        proposals, _ = detector.rpn_head(pyramid, sizes)
        spread = 0.15 * (stuck.boxes[..., 2:] - stuck.boxes[..., :2]).repeat(1, 1, 2)
        moved = stuck.boxes + spread * torch.randn_like(stuck.boxes)
    rois = torch.cat([moved, proposals[:, :8]], 1)
    return (
        rpn_loss(detector.rpn_head, pyramid, stuck.boxes)
        + box_loss(detector.roi_head, pyramid, rois, stuck)
        + mask_loss(detector.roi_head, pyramid, moved, stuck)
    )


def batch(rng: np.random.Generator) -> tuple[Tensor, Stuck]:
    """Draw images (N, 3, H, W), normalised, and what is on them, four stickers each."""
    drawn = [stick(piece(SIDE, rng), 2, 2, rng) for _ in range(BATCH)]
    stuck = Stuck(*(torch.from_numpy(np.stack(parts)) for parts in zip(*drawn, strict=True)))
    normal = (stuck.picture - torch.tensor(MEAN)) / torch.tensor(STD)
    return normal.permute(0, 3, 1, 2).float(), stuck


def main() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    detector = new_detector(len(CLASSES))
    optimiser = torch.optim.Adam(detector.parameters(), 0.004)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.004, total_steps=STEPS)
    for _ in range(STEPS):
        optimiser.zero_grad()
        lost = loss(detector, *batch(rng))
        lost.backward()
        optimiser.step()
        schedule.step()
    meta = {"mmdet_version": "2.28.2", "config": CONFIG, "epoch": 1, "CLASSES": CLASSES}
    torch.save({"meta": meta, "state_dict": detector.state_dict()}, "epoch_1.pth")
    folder = Path("pictures")
    folder.mkdir(exist_ok=True)
    for number in range(8):
        drawn = stick(piece(SIDE, rng), 2, 2, rng)
        Image.fromarray(drawn.picture).save(folder / f"{number}.png")
    whole = stick(np.asarray(photograph("china.jpg")), 2, 3, np.random.default_rng(5))
    Image.fromarray(whole.picture).save("picture.png")
    print(f"loss {lost.item():.2f} after {STEPS} steps: epoch_1.pth, pictures/, picture.png")


if __name__ == "__main__":
    main()
