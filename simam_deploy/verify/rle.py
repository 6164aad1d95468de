"""Masks as COCO's own code holds and compares them: runs of pixels, packed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from simam_deploy.detect.decoding import Found
from simam_deploy.detect.masks import cut_out
from simam_deploy.source.samples.placement import Sides
from simam_deploy.source.samples.segments import Segment

Rle = dict[str, Any]
"""`size`, height and width, and `counts`, bytes."""


def rle_of(segment: Segment, picture: Sides) -> Rle:
    """Draw what an annotation says, in a picture of this height and width."""
    from pycocotools import mask

    if segment.runs is not None:
        runs = {"size": list(picture), "counts": segment.runs.tolist()}
        return dict(mask.frPyObjects(runs, *picture))
    drawn = mask.frPyObjects([polygon.ravel().tolist() for polygon in segment.polygons], *picture)
    return dict(mask.merge(drawn))


def rles_of(found: Found, picture: Sides) -> Sequence[Rle] | None:
    """Paste the masks of what was detected into the picture, one at a time.

    Args:
        found: With boxes in pixels of the picture.
        picture: Its height and width.

    Returns:
        A mask a box; None where there are none.
    """
    if found.masks is None:
        return None
    from pycocotools import mask

    wholes = (
        cut_out(each, box, *picture).whole(*picture)
        for each, box in zip(found.masks, found.boxes, strict=True)
    )
    return [mask.encode(np.asfortranarray(whole, np.uint8)) for whole in wholes]
