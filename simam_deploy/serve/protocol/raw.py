"""The bytes of an answer's tensors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simam_deploy.core.arrays import Array

MOST_COPIED = 1 << 20
"""Bytes that are copied at a time, and in the event loop's thread: 1 MiB takes 1 ms."""


def raw_pieces(array: Array) -> Iterator[bytes]:
    """Copy a tensor's bytes, in row-major order, a step at a time: its batch is let go of."""
    if array.nbytes <= MOST_COPIED:
        yield array.tobytes()
        return
    flat = np.ascontiguousarray(array).reshape(-1)
    step = max(1, MOST_COPIED // flat.itemsize)
    yield from (flat[start : start + step].tobytes() for start in range(0, flat.size, step))
