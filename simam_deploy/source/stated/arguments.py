"""What a script's arguments and the entries beside weights say: names, normalisation, size.

timm saves its arguments (`args`, a Namespace) and describes a network in `pretrained_cfg`,
Lightning keeps `hyper_parameters`; torchvision's folders of pictures give `class_to_idx`. timm
crops the share `crop_pct` of the picture's shorter side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from simam_deploy.source.stated.fields import Held
from simam_deploy.source.stated.mmlab import is_config
from simam_deploy.source.stated.places import Places, where
from simam_deploy.source.stated.record import Said, Stated
from simam_deploy.source.stated.values import levels, names, number, numbers, sides

NAME_KEYS = ("class_names", "classes", "label_names", "class_to_idx", "idx_to_class", "id2label")
METADATA_NAME_KEYS = ("names",)
"""Names of a file's classes in metadata; in arguments they may be those of anything."""
SIZE_KEYS = ("input_size", "img_size", "image_size")
LEVEL_KEYS = (("mean", "std"), ("image_mean", "image_std"))


def read_arguments(places: Places) -> Stated:
    """Read what stands beside the weights, in arguments and in metadata."""
    arguments = [part for part in places.arguments if not is_config(part)]
    found = [*arguments, places.top, places.metadata]
    return Stated(
        classes=(
            *chain.from_iterable(map(_classes, found)),
            *_classes(places.metadata, METADATA_NAME_KEYS),
        ),
        levels=tuple(chain.from_iterable(map(_levels, found))),
        fits=tuple(chain.from_iterable(map(_fits, found))),
        sizes=tuple(chain.from_iterable(map(_sizes, found))),
    )


def _classes(part: Held, keys: Sequence[str] = NAME_KEYS) -> Iterator[Said]:
    for key in keys:
        if read := names(part.get(key)):
            yield Said(read, where(f"{part.path}{key}"))


def _levels(part: Held) -> Iterator[Said]:
    for mean, std in LEVEL_KEYS:
        if read := levels(part.get(mean), part.get(std), "RGB"):
            yield Said(read, where(f"{part.path}{mean}, {std}"))


def _sizes(part: Held) -> Iterator[Said]:
    for key in SIZE_KEYS:
        if read := _size(part.get(key)):
            yield Said(read, where(f"{part.path}{key}"))


def _size(value: object) -> tuple[int, int] | None:
    """Read (height, width), which timm leads by the channels."""
    full = numbers(value) or []
    return sides(full[1:] if len(full) == 3 else value)


def _fits(part: Held) -> Iterator[Said]:
    share = number(part.get("crop_pct"))
    for size in _sizes(part):
        height, width = size.value
        if share and 0 < share <= 1 and height == width:
            yield Said({"resize": int(height / share), "crop": height}, size.where)
