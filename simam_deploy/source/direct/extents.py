"""Sizes of maps where some are free: what windows and reductions leave of a shape."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Size = int | str
"""A dimension: known, or the name or formula of a free one."""
_HALVED = re.compile(r"\((\w+) - 1\)//(\d+) \+ 1")


class Unknown(Exception):  # noqa: N818 - no error: another way makes the graph then
    """Something of a network is not known here."""


@dataclass(frozen=True)
class Window:
    """A convolution's or a pooling's window along one axis, as torch counts it."""

    kernel: int
    stride: int
    padding: int
    dilation: int = 1
    ceil: bool = False

    def over(self, size: Size) -> Size:
        """Give how many places it takes along an axis.

        Raises:
            Unknown: The axis is free, and the formula is not one of those that networks have.
        """
        beside = 2 * self.padding - self.dilation * (self.kernel - 1) - 1
        if isinstance(size, int):
            return self._counted(size, beside)
        if self.stride == 1 and beside == -1:
            return size
        # A pooling of 2 by 2 that rounds up counts as a convolution of 3 by 3 with its padding.
        if beside + (self.stride - 1 if self.ceil else 0) == -1:
            return _divided(size, self.stride)
        raise Unknown(f"{self} over a free size")

    def _counted(self, size: int, beside: int) -> int:
        places = size + beside
        if places < 0:
            raise Unknown(f"{self} over {size}")
        count = (-(-places // self.stride) if self.ceil else places // self.stride) + 1
        # The last window begins within the map or its left padding.
        last = self.ceil and (count - 1) * self.stride >= size + self.padding
        return count - last


def _divided(size: str, stride: int) -> str:
    """Write (size - 1) // stride + 1; that of what is so written already is one division."""
    found = _HALVED.fullmatch(size)
    name, divisor = (found[1], int(found[2])) if found else (size, 1)
    if not name.isidentifier():
        raise Unknown(f"a window over {size}")
    return f"({name} - 1)//{divisor * stride} + 1"


def size_at(size: Size, sizes: Mapping[str, int]) -> int:
    """Give what a dimension is where the free ones have these sizes."""
    if isinstance(size, int):
        return size
    found = _HALVED.fullmatch(size)
    return (sizes[found[1]] - 1) // int(found[2]) + 1 if found else sizes[size]


def merged(sizes: Sequence[Size]) -> int:
    """Give the product of dimensions that become one; -1 where one of them is free."""
    known = [size for size in sizes if isinstance(size, int)]
    return math.prod(known) if len(known) == len(sizes) else -1
