"""Where SimAM looks: every site's gates for one input, as small heatmaps.

A second session of the same graph gives the map that each site is given; the gate follows from it
by the formula of `simam_deploy.op.contract`. It is made when first asked for, since most never ask:
reading and recognising a ResNet-50 takes a second. By then the model may have been closed, or its
file replaced by another that is not served yet: then there are no maps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.errors import InputError
from simam_deploy.op.contract import simam_gate
from simam_deploy.serve.protocol.refusals import Unsupported

if TYPE_CHECKING:
    from simam_deploy.precision.taps import SiteRecorder, SiteSample

T = TypeVar("T")
LARGEST_SIDE = 64
"""Cells of a heatmap along a side; larger maps are averaged down to at most that."""


class Attention:
    """The gates of one .onnx file's sites; made before it is read, loaded at the first call.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._served = _identity(path)
        self._closed = False
        self._loaded: SiteRecorder | None = None
        self._turn = threading.Lock()

    def heatmaps(self, feeds: Feeds) -> list[dict[str, Any]]:
        """Compute the gates of one picture; blocks, and one call at a time.

        Returns:
            For each site its name, its height and width, and its gates, averaged over the
            channels: rows of numbers in [0.6225, 1).

        Raises:
            Unsupported: The file is a plan, has no SimAM or was replaced, or the model is closed.
        """
        return [_heatmap(each.name, each.attention()) for each in self._samples(feeds)]

    def gates(self, feeds: Feeds, sum_up: Callable[[Array], T]) -> dict[str, T]:
        """Compute every gate of every row, and sum them up by site; as `heatmaps` in all else.

        Args:
            feeds: Of one request.
            sum_up: Given a site's gates, (N, C, H, W); one site's are held at a time.
        """
        samples = self._samples(feeds)
        return {each.name: sum_up(simam_gate(each.x, each.e_lambda)) for each in samples}

    def _samples(self, feeds: Feeds) -> tuple[SiteSample, ...]:
        with self._turn:
            if self._closed:
                raise Unsupported("the model was unloaded or loaded anew meanwhile")
            if self._loaded is None:
                self._loaded = _load(self.path, self._served)
            return self._loaded.record(feeds)

    def close(self) -> None:
        """Free the session, if there is one, once it computes no more; none is opened after."""
        with self._turn:
            self._closed = True
            if self._loaded is not None:
                self._loaded.close()
                self._loaded = None


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Tell a file from one that took its place; None where there is none."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns


def _load(path: Path, served: tuple[int, int, int] | None) -> SiteRecorder:
    if path.suffix != ".onnx":
        raise Unsupported("a plan does not show its SimAM maps: serve the .onnx to see them")
    from simam_deploy.graph.file.read import read_model
    from simam_deploy.graph.prepare import plain
    from simam_deploy.precision.taps import SiteRecorder

    try:
        model = plain(read_model(path))
        if _identity(path) != served:
            raise Unsupported(f"{path.name} is another file than the one that is served")
        return SiteRecorder(model, threads=1)
    except InputError as error:
        raise Unsupported(f"no attention maps: {error}") from error


def _heatmap(name: str, gates: Array) -> dict[str, Any]:
    height, width = gates.shape
    cells = np.round(_averaged(gates), 4).tolist()
    return {"name": name, "height": height, "width": width, "gates": cells}


def _averaged(plane: Array) -> Array:
    """Average blocks of a plane, so that no side has more than `LARGEST_SIDE` cells."""
    factor = -(-max(plane.shape) // LARGEST_SIDE)
    starts = [np.arange(0, side, factor) for side in plane.shape]
    sums = np.add.reduceat(np.add.reduceat(plane, starts[0], 0), starts[1], 1)
    counts = np.multiply.outer(
        *(np.diff([*s, side]) for s, side in zip(starts, plane.shape, strict=True))
    )
    averaged: Array = sums / counts
    return averaged
