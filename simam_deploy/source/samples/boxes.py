"""Pictures with the boxes that lie in them: COCO's annotations, or YOLO's label files.

A path is one of
    .json    COCO's instances; pictures beside it, or in a folder `images` beside
    .yaml    YOLO's data.yaml, which names the folders and the classes
    folder   with _annotations.coco.json, annotations.json or annotations/instances_NAME.json,
             whose pictures may lie in a folder NAME beside; or with images/ and labels/; or with
             data.yaml

Boxes lie in the upright picture, as the loaders of detectors see it: one whose EXIF turns it away
from the size that its annotations state was annotated as it is stored, and refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simam_deploy.core.labels import match_names
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.source.samples.annotated import Annotated
from simam_deploy.source.samples.coco import find_coco, read_coco
from simam_deploy.source.samples.inputs import Sample
from simam_deploy.source.samples.pictures import decode, require_pillow, size_of, turned_notes
from simam_deploy.source.samples.placement import Placement
from simam_deploy.source.samples.preparation import Preparation, stretching
from simam_deploy.source.samples.segments import Segment
from simam_deploy.source.samples.sifting import Sieve
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
        segments: The pixels of what lies in each box; None where nothing says those of some.
    """

    name: str
    boxes: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    crowd: npt.NDArray[np.bool_]
    placement: Placement
    segments: tuple[Segment, ...] | None = None


class BoxPictures:
    """Annotated pictures, as a source of samples without a label of their own.

    Args:
        pictures: With their boxes.
        classes: Names in the order of the labels, None where nothing names them.
        prepare: Makes an input of a picture.
        notes: What a user should know of them.
    """

    labelled = by_place = False

    def __init__(
        self,
        pictures: Sequence[Annotated],
        classes: tuple[str, ...] | None,
        prepare: Preparation,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.classes, self._notes = classes, notes
        self._pictures, self._prepare = pictures, prepare
        self._turned: set[int] = set()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know; of what was read so far, how many pictures were turned."""
        return (*self._notes, *turned_notes(len(self._turned), len(self)))

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self._pictures)

    def read(self, chosen: Sequence[int]) -> Iterator[Sample]:
        """Yield the chosen pictures, prepared.

        Raises:
            InputError: A picture cannot be decoded, or has another size than its annotations say.
        """
        for index in chosen:
            found = self._pictures[index]
            picture, turned = decode(found.file, found.name)
            size = picture.height, picture.width
            _check_size(found, size, turned)
            if turned:
                self._turned.add(index)
            yield Sample(found.name, self._prepare(picture), 0, self._prepare.extent(size))

    def truth(self, index: int) -> Truth:
        """Give what lies in a picture.

        Raises:
            InputError: Its size has to be read, and cannot be.
        """
        found = self._pictures[index]
        height, width = found.size or size_of(found.file, found.name)
        boxes = found.boxes if found.size else found.boxes * [width, height, width, height]
        placement = self._prepare.placement((height, width))
        segments = tuple(each for each in found.segments if each is not None)
        known = segments if len(segments) == len(boxes) else None
        return Truth(found.name, boxes, found.labels, found.crowd, placement, known)


def open_boxes(
    path: Path, spec: TensorSpec, prepare: Preparation | None, names: Sequence[str] | None = None
) -> BoxPictures | None:
    """Open pictures with boxes; every annotation is checked, no picture is decoded.

    Args:
        path: As the module says.
        spec: The network's input.
        prepare: What the network's facts say; where they say nothing, a picture is scaled to the
            input's height and width and its pixels to 0..1, and a note says so.
        names: The network's classes; labels follow them where the annotated ones are among them.

    Returns:
        None where the path holds no boxes.

    Raises:
        InputError: The annotations are damaged or too large, pictures are missing or lie outside
            of their folder, or no picture fits the input.
    """
    coco = find_coco(path)
    yolo = None if coco else find_yolo(path)
    if coco is None and yolo is None:
        return None
    require_pillow()
    used = prepare or stretching(spec)
    if used is None:
        raise InputError(f"{path.name} holds pictures, which the input {spec} does not take")
    sieve, own = Sieve(), yolo.classes if yolo else None
    if coco is not None:
        pictures, own = read_coco(coco)
    elif yolo is not None:
        pictures = read_yolo(yolo, sieve)
    pictures, classes, notes = _relabelled(pictures, own, names)
    stretched = () if prepare else (_STRETCHED,)
    said = (*stretched, *notes, *_outline_notes(pictures), *sieve.notes())
    return BoxPictures(pictures, classes, used, said)


def _outline_notes(pictures: Sequence[Annotated]) -> tuple[str, ...]:
    """Say that masks cannot be measured, where some things have an outline and others have none."""
    each = [segment for picture in pictures for segment in picture.segments]
    missing = each.count(None)
    if missing in (0, len(each)):
        return ()
    return (f"{missing} of {len(each)} boxes have no outline: masks are not measured",)


_STRETCHED = (
    "nothing says how a picture becomes an input: each is scaled to the input's height and width, "
    "its pixels to 0..1"
)


def _check_size(found: Annotated, size: tuple[int, int], turned: bool) -> None:
    """Hold an upright picture's height and width against what its annotations say."""
    if found.size is None or found.size == size:
        return
    how = ", turned as its EXIF says, " if turned else " "
    raise InputError(
        f"{found.name}{how}has {size[1]} x {size[0]} pixels, its annotations say "
        f"{found.size[1]} x {found.size[0]}"
    )


def _relabelled(
    pictures: list[Annotated], own: tuple[str, ...] | None, names: Sequence[str] | None
) -> tuple[list[Annotated], tuple[str, ...] | None, tuple[str, ...]]:
    """Give boxes the labels that the network has for their classes.

    Returns:
        The pictures, the classes by label, and a note where boxes have classes that are not the
        network's: labels then are what the annotations say.

    Raises:
        InputError: A label is beyond the annotations' own classes.
    """
    used = sorted({int(label) for picture in pictures for label in picture.labels})
    if own is not None and used and used[-1] >= len(own):
        raise InputError(f"boxes have the class {used[-1]}, and {len(own)} classes are named")
    if not own or not names or own == tuple(names):
        return pictures, own, ()
    places = match_names(own, names)
    unknown = [own[label] for label in used if own[label] not in places]
    if unknown:
        shown = ", ".join(f"{name:.40}" for name in unknown[:3])
        note = f"boxes are of classes that the network does not name so ({shown}): taken by place"
        return pictures, own, (note,)
    order = np.array([places.get(name, -1) for name in own], np.int64)
    return [replace(each, labels=order[each.labels]) for each in pictures], tuple(names), ()
