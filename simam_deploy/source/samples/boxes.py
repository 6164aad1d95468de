"""Pictures with the boxes that lie in them: COCO's annotations, or YOLO's label files.

A path is one of
    .json    COCO's instances; pictures beside it, or in a folder `images` beside
    folder   with _annotations.coco.json, annotations.json or annotations/instances_NAME.json,
             whose pictures may lie in a folder NAME beside; or with images/ and labels/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.source.samples.annotated import Annotated
from simam_deploy.source.samples.coco import find_coco, read_coco
from simam_deploy.source.samples.pictures import decode, require_pillow, size_of
from simam_deploy.source.samples.placement import Placement
from simam_deploy.source.samples.preparation import Preparation, stretching
from simam_deploy.source.samples.yolo import find_yolo, read_yolo


@dataclass(frozen=True)
class Truth:
    """What lies in one picture.

    Attributes:
        name: The picture's.
        boxes: float64 (n, 4), x1 y1 x2 y2 in pixels of the picture.
        labels: int64 (n,), counted from 0.
        crowd: bool (n,), whether the box stands for many that nobody counted.
        placement: Where the picture lies in the input.
    """

    name: str
    boxes: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    crowd: npt.NDArray[np.bool_]
    placement: Placement


class BoxPictures:
    """Annotated pictures, as a source of samples without a label of their own.

    Args:
        pictures: With their boxes.
        classes: Names in the order of the labels, None where nothing names them.
        prepare: Makes an input of a picture.
        notes: What a user should know.
    """

    labelled = False

    def __init__(
        self,
        pictures: Sequence[Annotated],
        classes: tuple[str, ...] | None,
        prepare: Preparation,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.classes, self.notes = classes, notes
        self._pictures, self._prepare = pictures, prepare

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self._pictures)

    def read(self, chosen: Sequence[int]) -> Iterator[tuple[str, npt.NDArray[np.float32], int]]:
        """Yield name, prepared picture, and 0.

        Raises:
            InputError: A picture cannot be decoded, or has another size than its annotations say.
        """
        for index in chosen:
            found = self._pictures[index]
            picture = decode(found.file, found.name)
            size = picture.height, picture.width
            if found.size is not None and found.size != size:
                raise InputError(
                    f"{found.name} has {size[1]} x {size[0]} pixels, its annotations say "
                    f"{found.size[1]} x {found.size[0]}"
                )
            yield found.name, self._prepare(picture), 0

    def truth(self, index: int) -> Truth:
        """Give what lies in a picture.

        Raises:
            InputError: Its size has to be read, and cannot be.
        """
        found = self._pictures[index]
        height, width = found.size or size_of(found.file, found.name)
        boxes = found.boxes if found.size else found.boxes * [width, height, width, height]
        placement = self._prepare.placement((height, width))
        return Truth(found.name, boxes, found.labels, found.crowd, placement)


def open_boxes(
    path: Path, spec: TensorSpec, prepare: Preparation | None, names: Sequence[str] | None = None
) -> BoxPictures | None:
    """Open pictures with boxes; every annotation is checked, no picture is decoded.

    Args:
        path: As the module says.
        spec: The network's input.
        prepare: What the network's facts say; where they say nothing, a picture is scaled to the
            input's height and width and its pixels to 0..1, and a note says so.
        names: The network's classes; labels follow them where the annotations name the same.

    Returns:
        None where the path holds no boxes.

    Raises:
        InputError: The annotations are damaged or too large, pictures are missing or lie outside
            of their folder, or no picture fits the input.
    """
    coco, yolo = find_coco(path), find_yolo(path)
    if coco is None and yolo is None:
        return None
    require_pillow()
    used = prepare or stretching(spec)
    if used is None:
        raise InputError(f"{path.name} holds pictures, which the input {spec} does not take")
    notes = () if prepare else (_STRETCHED,)
    if coco is not None:
        pictures, classes = read_coco(coco, names)
        return BoxPictures(pictures, classes, used, notes)
    images, labels = yolo or (path, path)
    return BoxPictures(read_yolo(images, labels), None, used, notes)


_STRETCHED = (
    "nothing says how a picture becomes an input: each is scaled to the input's height and width, "
    "its pixels to 0..1"
)
