"""What ultralytics and YOLOv5 leave in a checkpoint, and in the metadata of an .onnx.

A checkpoint holds the network itself, with `names` and `stride`, and the training's arguments
(`train_args`, YOLOv5's `opt`). An .onnx holds `names`, `stride`, `task`, `imgsz` as `str` gives
them. Their predictors scale a picture to fit, centred on grey 114, and pixels to 0..1.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from simam_deploy.source.stated.fields import Held, follow, printable
from simam_deploy.source.stated.places import Places, where
from simam_deploy.source.stated.record import Said, Stated
from simam_deploy.source.stated.values import names, number, numbers, side, sides

BOXED = ("detect", "segment", "pose", "obb")
"""Tasks whose pictures are letterboxed."""
_GREY = 114
_STRIDE = 32
_TASKS = {"DetectionModel": "detect", "SegmentationModel": "segment"}
"""By the class of YOLOv5's networks, whose task nothing else tells."""


def read_yolo(places: Places) -> Stated:
    """Read both: nothing where the file is neither's."""
    networks = [part for part in places.networks if _is_yolo(part)]
    exported = [places.metadata] if _is_yolo(places.metadata) else []
    described = [*networks, *exported]
    if not described:
        return Stated()
    said = [*exported, *places.arguments]
    task, sizes = _task(said, networks), tuple(chain.from_iterable(map(_sizes, said)))
    return Stated(
        classes=tuple(_classes(described)),
        levels=tuple(_levels(described, task)),
        fits=tuple(_fits(sizes, task, _stride(described))),
        sizes=sizes,
    )


def _is_yolo(part: Held) -> bool:
    return part.get("names") is not None and part.get("stride") is not None


def _classes(described: list[Held]) -> Iterator[Said]:
    for part in described:
        if read := names(part.get("names")):
            yield Said(read, where(f"{part.path}names"))


def _sizes(part: Held) -> Iterator[Said]:
    for key in ("imgsz", "img_size"):
        if read := sides(part.get(key)):
            yield Said(read, where(f"{part.path}{key}"))


def _task(said: list[Held], networks: list[Held]) -> Said | None:
    """Find the task: said, or told by the network's class."""
    for part in said:
        if isinstance(task := part.get("task"), str):
            return Said(task, where(f"{part.path}task"))
    for part in networks:
        if task := _TASKS.get(part.maker.rpartition(".")[2]):
            return Said(task, where(f"{part.path}{printable(part.maker)}"))
    return None


def _stride(described: list[Held]) -> int:
    """Give the largest; those of the maps are a list."""
    said = [part.get("stride") for part in described]
    found = [side(max(numbers(value) or [number(value) or 0])) for value in said]
    return max((stride for stride in found if stride), default=_STRIDE)


def _levels(described: list[Held], task: Said | None) -> Iterator[Said]:
    """Scale to 0..1: as many channels as the network says, three where it says nothing."""
    channels = {_channels(part) for part in described}
    if task and task.value in (*BOXED, "classify") and len(channels) == 1:
        count = channels.pop()
        ends = {"mean": [0.0] * count, "std": [1.0] * count}
        yield Said({"color": "RGB", "scale": 1 / 255, **ends}, task.where)


def _channels(part: Held) -> int:
    said = part.get("channels") or follow(part.values, "yaml", "channels")
    found = number(said or follow(part.values, "yaml", "ch"))
    return 1 if found == 1 else 3


def _fits(sizes: tuple[Said, ...], task: Said | None, stride: int) -> Iterator[Said]:
    for size in sizes:
        height, width = size.value
        if task and task.value in BOXED:
            yield Said({"resize": [width, height], **_letterbox(stride)}, size.where)
        elif task and task.value == "classify" and height == width:
            yield Said({"resize": height, "crop": height}, size.where)


def _letterbox(stride: int) -> dict[str, object]:
    return {"keep_ratio": True, "pad": "centre", "pad_value": _GREY, "pad_divisor": stride}
