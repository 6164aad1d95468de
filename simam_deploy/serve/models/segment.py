"""The classes of a picture's pixels, in pixels of the picture as it was sent."""

from __future__ import annotations

from typing import Any

from simam_deploy.core.arrays import Feeds
from simam_deploy.core.labels import label_of
from simam_deploy.detect.decoding import may_mask
from simam_deploy.detect.masks import Cut, described
from simam_deploy.detect.regions import class_map
from simam_deploy.serve.models.detect import has_boxes
from simam_deploy.serve.models.model import Model
from simam_deploy.serve.models.pictures import check_finite, inputs_of
from simam_deploy.serve.protocol.check import Port, spec_of
from simam_deploy.serve.protocol.refusals import Unsupported
from simam_deploy.source.samples.picture_inputs import Picture


def segments(model: Model) -> bool:
    """Tell whether the model can be asked which of a picture's pixels are what."""
    try:
        inputs_of(model)
        check_segments(model)
    except Unsupported:
        return False
    return True


def check_segments(model: Model) -> None:
    """See that the model may give masks of what it finds, or a class for every pixel.

    Raises:
        Unsupported: Its outputs are neither, or the classes have no names.
    """
    if not has_boxes(model):
        regions_of(model)
    elif not may_mask([spec_of(port) for port in model.outputs.values()]):
        raise Unsupported(f"model '{model.name}' gives no masks: /detect is for boxes")


def regions_of(model: Model) -> Port:
    """Find the output that has a score for every class at every place: (N, classes, h, w).

    It is the only output, and the classes' names say how many there are: what else is a stack of
    maps could be anything.

    Raises:
        Unsupported: There is none, or the classes have no names.
    """
    outputs = list(model.outputs.values())
    if len(outputs) != 1 or len(outputs[0].shape) != 4 or outputs[0].dtype.kind != "f":
        raise Unsupported(f"model '{model.name}' gives neither masks nor a class for every pixel")
    if len(model.labels) < 2 or outputs[0].shape[1] != len(model.labels):
        raise Unsupported(
            f"model '{model.name}' does not name the classes of its {outputs[0].shape[1]} maps: "
            "name them when it is exported"
        )
    return outputs[0]


def regions_in(model: Model, outputs: Feeds, picture: Picture) -> list[dict[str, Any]]:
    """Tell which pixels of a picture are of which class, the largest region first.

    Args:
        model: Whose outputs they are.
        outputs: For a batch of this picture alone.
        picture: What was given.

    Raises:
        ModelFailed: A score is no finite number.
    """
    scores = outputs[regions_of(model).name][0]
    check_finite(scores)
    height, width = picture.array.shape[-2:]
    classes = class_map(scores, picture.placement, (height, width))
    counts = {index: int((classes == index).sum()) for index in range(len(model.labels))}
    found = sorted((index for index, count in counts.items() if count), key=lambda i: -counts[i])
    return [
        {
            "index": index,
            "label": label_of(index, model.labels),
            "share": round(counts[index] / classes.size, 6),
            "mask": described(Cut(0, 0, classes == index)),
        }
        for index in found
    ]
