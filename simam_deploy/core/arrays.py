"""Arrays, and arrays by name: what runners take and give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]
"""An array by input, or output, name."""


def levels(dtype: np.dtype[Any]) -> int:
    """Say how many whole numbers, from 0 on, are drawn of a type that is not floating.

    Bytes are a picture's levels. Of all else 0 and 1: either is in a mask, and every table has a
    row for it.
    """
    return 256 if dtype == np.uint8 else 2


def draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Draw an array: standard normal where it is floating, else of `levels`."""
    if np.issubdtype(dtype, np.floating):
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, levels(dtype), shape).astype(dtype)


def numpy_type(dtype: str) -> Any:
    """Give NumPy's type by its name; bfloat16 is ml_dtypes'."""
    if dtype == "bfloat16":
        import ml_dtypes

        return ml_dtypes.bfloat16
    return np.dtype(dtype)
