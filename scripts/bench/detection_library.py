"""The kernels of plugins/simam/detection behind C functions, as their params.h declares them.

On a GPU or, compiled by g++ on an engine that stands for one, on the host: tests/plugins.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

LEVELS = 4
MOST_BOXES = 16384
MOST_BINS = 128
MOST_RATIO = 128


class Level(ctypes.Structure):
    """`simam::Level`."""

    _fields_ = (
        ("x", ctypes.c_void_p),
        ("height", ctypes.c_int64),
        ("width", ctypes.c_int64),
    )


class AlignParams(ctypes.Structure):
    """`simam::AlignParams`; layouts are 0 for NCHW and 1 for NHWC."""

    _fields_ = (
        ("rois", ctypes.c_void_p),
        ("levels", Level * LEVELS),
        ("y", ctypes.c_void_p),
        ("n", ctypes.c_int64),
        ("r", ctypes.c_int64),
        ("c", ctypes.c_int64),
        ("pitch", ctypes.c_int64),
        ("layout", ctypes.c_int32),
        ("result_layout", ctypes.c_int32),
        ("bins", ctypes.c_int32),
        ("ratio", ctypes.c_int32),
        ("finest", ctypes.c_float),
    )


class NmsParams(ctypes.Structure):
    """`simam::NmsParams`."""

    _fields_ = (
        ("boxes", ctypes.c_void_p),
        ("scores", ctypes.c_void_p),
        ("groups", ctypes.c_void_p),
        ("kept", ctypes.c_void_p),
        ("batch", ctypes.c_int64),
        ("count", ctypes.c_int64),
        ("group_count", ctypes.c_int64),
        ("threshold", ctypes.c_float),
        ("wide_groups", ctypes.c_bool),
    )


def load(path: Path) -> ctypes.CDLL:
    """Load a library and declare its entries."""
    library = ctypes.CDLL(str(path))
    pointer = ctypes.c_void_p
    library.simam_align.argtypes = [ctypes.POINTER(AlignParams), ctypes.c_int, pointer]
    library.simam_nms.argtypes = [ctypes.POINTER(NmsParams), pointer, pointer]
    library.simam_nms_workspace_size.argtypes = [ctypes.c_int64, ctypes.c_int64]
    library.simam_nms_workspace_size.restype = ctypes.c_size_t
    return library
