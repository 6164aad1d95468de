"""What a copy takes on this machine, now: the least that a pass over a map can take."""

from __future__ import annotations

import statistics
import time

import numpy as np

from simam_deploy.core.arrays import Array

_TURNS = 15
_LEAST = 1e-3
"""Seconds of a turn: a small map is copied many times in one."""


def copy_ms(size: int) -> float:
    """Time a copy of so many bytes by one thread, in milliseconds: the median of turns.

    Source and target stay the same, so that what fits a cache is in it, as a map is that the layer
    before has just written.
    """
    source, target = np.ones(max(size, 1), np.uint8), np.empty(max(size, 1), np.uint8)
    repeats = max(1, int(_LEAST / max(_once(source, target, 3), 1e-9)))
    return 1e3 * statistics.median(_once(source, target, repeats) for _ in range(_TURNS))


def _once(source: Array, target: Array, repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        np.copyto(target, source)
    return (time.perf_counter() - started) / repeats
