"""What `simam explain` prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from simam_deploy.pipeline.explain import Explanation
from simam_deploy.pipeline.target import Target
from simam_deploy.report.terminal import one_line
from simam_deploy.report.text import rows
from simam_deploy.source.samples.heatmap import Heatmap

_LISTED = 10
"""Detections that are listed."""


def describe_target(target: Target) -> str:
    """Word a score: `class 281, tabby: logits[0, 281] = 9.83`."""
    box = "" if target.box is None else f"box {target.rank}, "
    name = f", {target.name}" if target.name else ""
    return f"{box}class {target.index}{name}: {target.scalar} = {target.score:.3g}"


def explain_table(found: Explanation, output: Path) -> str:
    """Sum up an explanation."""
    return f"{one_line(str(output))}\n{rows(list(_rows(found)))}"


def _rows(found: Explanation) -> Iterator[tuple[str, str]]:
    height, width = found.pixels.shape[:2]
    turned = ", turned upright as its EXIF says" if found.turned else ""
    yield "network", found.network
    yield "picture", f"{width} x {height}{turned}"
    if found.grad_cam is not None:
        target = found.grad_cam.target
        first = {0: "the highest"}.get(target.rank, f"{target.rank} are higher")
        yield "explained", f"{describe_target(target)}, {first}"
        yield "Grad-CAM", _map_text(found.grad_cam)
    if found.attention is not None:
        yield "attention", _map_text(found.attention)
    yield from (("detected", _box_text(each)) for each in found.detections[:_LISTED])
    if len(found.detections) > _LISTED:
        yield "detected", f"{len(found.detections) - _LISTED} more, less sure"
    yield from (("note", note) for note in found.notes)


def _map_text(of: Heatmap) -> str:
    """Word a map: where it is of, its cells, its range and where it is highest."""
    height, width = of.cells.shape
    text = f"{of.layer}, {height} x {width} cells, {of.cells.min():.3g} to {of.cells.max():.3g}"
    if of.cells.max() == of.cells.min():
        return f"{text}: flat"
    whole = of.over_picture()
    y, x = np.unravel_index(np.nanargmax(whole), whole.shape)
    return f"{text}, highest at x {x}, y {y} of the picture"


def _box_text(target: Target) -> str:
    assert target.box is not None
    sides = " ".join(f"{side:.0f}" for side in target.box)
    name = target.name or f"class {target.index}"
    return f"{target.rank}: {name} {target.score:.2f}, x1 y1 x2 y2 {sides}"
