"""Detections for the tests, and what each convention makes of them."""

import numpy as np

from simam_deploy.core.specs import TensorSpec
from simam_deploy.source.samples import Truth
from simam_deploy.source.samples.placement import Placement

CLASSES = 3
CELLS = 40


def scene(seed, count=6):
    """Boxes that do not overlap, x1 y1 x2 y2 within 64 pixels, with scores and classes."""
    rng = np.random.default_rng(seed)
    places = rng.permutation(16)[:count]
    corner = np.stack([places % 4 * 16, places // 4 * 16], 1) + rng.uniform(0, 4, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(8, 11, (count, 2))], 1)
    scores = np.sort(rng.uniform(0.3, 0.95, count))[::-1]
    return boxes, scores, rng.integers(0, CLASSES, count)


def cells(scenes):
    """(N, 4 + C, A) as YOLOv8: each box in two cells, the second a little beside and less sure."""
    out = np.zeros((len(scenes), 4 + CLASSES, CELLS), np.float32)
    for number, (boxes, scores, labels) in enumerate(scenes):
        centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        for i, label in enumerate(labels):
            for place, (shift, less) in enumerate([(0, 1), (0.5, 0.9)]):
                out[number, :4, 2 * i + place] = [*(centre[i] + shift), *size[i]]
                out[number, 4 + label, 2 * i + place] = scores[i] * less
    return {"output0": out}


def with_objectness(scenes):
    rows = cells(scenes)["output0"].transpose(0, 2, 1)
    best = rows[..., 4:].max(-1, keepdims=True)
    shares = rows[..., 4:] / np.where(best, best, 1)
    return {"output0": np.concatenate([rows[..., :4], best, shares], 2)}


def parts(scenes, size=9, padding=-1):
    count = len(scenes)
    boxes = np.zeros((count, size, 4), np.float32)
    scores = np.zeros((count, size), np.float32)
    labels = np.full((count, size), padding, np.int64)
    for number, (box, score, label) in enumerate(scenes):
        boxes[number, : len(box)], scores[number, : len(box)] = box, score
        labels[number, : len(box)] = label
    return {"boxes": boxes, "scores": scores, "labels": labels}


def rows(scenes):
    each = parts(scenes, padding=0)
    columns = each["scores"][..., None], each["labels"][..., None]
    return {"output0": np.concatenate([each["boxes"], *columns], 2).astype(np.float32)}


def dets(scenes):
    each = parts(scenes)
    joined = np.concatenate([each["boxes"], each["scores"][..., None]], 2)
    return {"labels": each["labels"], "dets": joined}


def counted(scenes):
    """As EfficientNMS: a count first, and rubbish behind what counts."""
    each = parts(scenes)
    count = np.array([[len(box)] for box, _, _ in scenes], np.int32)
    beyond = np.arange(9) >= count
    each["scores"][beyond], each["labels"][beyond] = 0.9, 1
    return {"num_dets": count, **each}


CONVENTIONS = {
    "v8": cells, "v5": with_objectness, "rows": rows, "parts": parts, "dets": dets,
    "counted": counted,
}  # fmt: skip


class Table:
    """A detector that looks its outputs up: sample i is the number i."""

    name = "table"

    def __init__(self, outputs, batch="n"):
        self.inputs = (TensorSpec("x", "float32", (batch, 1)),)
        self.table = outputs
        self.outputs = tuple(
            TensorSpec(name, str(a.dtype), ("n", *a.shape[1:])) for name, a in outputs.items()
        )

    def run(self, feeds):
        places = feeds["x"][:, 0].astype(int)
        return {name: array[places] for name, array in self.table.items()}


def truth(found, picture=(128, 64), scaled=(64, 64), crowd=False):
    """What lies in a picture where `found`, in pixels of an input of 64 x 64, is right."""
    boxes, _, labels = found
    placement = Placement(picture, scaled, (0, 0))
    marks = np.full(len(labels), crowd)
    return Truth("p", placement.to_picture(boxes), labels.astype(np.int64), marks, placement)
