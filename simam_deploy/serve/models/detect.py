"""Boxes and masks of a picture, in pixels of the picture as it was sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.labels import label_of
from simam_deploy.detect.decoding import Found, find_decoder, may_detect
from simam_deploy.detect.masks import cut_out, described
from simam_deploy.errors import InputError
from simam_deploy.serve.models.model import Model
from simam_deploy.serve.models.pictures import inputs_of
from simam_deploy.serve.protocol.check import spec_of
from simam_deploy.serve.protocol.refusals import BadRequest, Unsupported
from simam_deploy.source.samples.picture_inputs import Picture
from simam_deploy.source.samples.placement import Sides

MOST_PIXELS = 1 << 30
"""Of the masks of one answer: 89 of a whole picture of 12 million pixels, 5 s."""


def has_boxes(model: Model) -> bool:
    """Tell by the shapes of its outputs whether a model detects."""
    return may_detect([spec_of(port) for port in model.outputs.values()])


def detects(model: Model) -> bool:
    """Tell whether the model can be asked what is in a picture."""
    try:
        inputs_of(model)
    except Unsupported:
        return False
    return has_boxes(model)


def check_detects(model: Model) -> None:
    """See that the model may detect.

    Raises:
        Unsupported: Its outputs are no detector's.
    """
    if not has_boxes(model):
        raise Unsupported(f"model '{model.name}' gives no boxes: /classify is for class scores")


def found_in(
    model: Model, outputs: Feeds, picture: Picture, least: float, masks: bool
) -> list[dict[str, Any]]:
    """Turn the outputs for one picture into what was detected, the surest first.

    Args:
        model: Whose they are.
        outputs: For a batch of this picture alone.
        picture: What was given.
        least: The score to be above.
        masks: Whether masks are wanted, where the model gives them.

    Raises:
        Unsupported: The outputs are of no known convention.
        BadRequest: The masks would be of more pixels than are made for one answer.
    """
    try:
        decode, _ = find_decoder(outputs, f"model '{model.name}'")
    except InputError as error:
        raise Unsupported(str(error)) from error
    found = next(iter(decode(outputs, least))).placed(picture.placement)
    if masks and found.masks is not None:
        _check_pixels(found.boxes)
    return list(_entries(model, picture.placement.picture, found, masks))


def _check_pixels(boxes: Array) -> None:
    """Refuse masks that would take minutes.

    Raises:
        BadRequest: They would.
    """
    pixels = int((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1).sum())
    if pixels > MOST_PIXELS:
        raise BadRequest(
            f"{len(boxes)} masks of {pixels} pixels together, {MOST_PIXELS} is the limit: ask for "
            "a higher threshold, or send a smaller picture"
        )


def _entries(model: Model, sides: Sides, found: Found, masks: bool) -> Iterator[dict[str, Any]]:
    """Describe what was found."""
    for number, label in enumerate(found.labels.tolist()):
        box = found.boxes[number]
        mask = found.masks[number] if masks and found.masks is not None else None
        yield {
            "index": label,
            "label": label_of(label, model.labels),
            "score": round(float(found.scores[number]), 6),
            "box": [round(float(side), 2) for side in box],
            **({} if mask is None else {"mask": described(cut_out(mask, box, *sides))}),
        }
