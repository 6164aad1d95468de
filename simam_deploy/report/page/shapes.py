"""Shapes, for a page."""

from __future__ import annotations

import re

from simam_deploy.core.inspection import Shape

_LONGEST = 12
_DIVIDED = re.compile(r"\(\(\((\w+) - 1\)//(\d+)\)\) \+ 1")
"""How torch's exporter says that a side was halved, rounding up."""


def shape_of(shape: Shape | None) -> str:
    """Write a shape as `n×16×h/4×w/4`, `?` for what is not known, or is too long to read."""
    return "\N{MULTIPLICATION SIGN}".join(map(_dimension, shape or ())) or "?"


def _dimension(dim: int | str | None) -> str:
    text = _DIVIDED.sub(r"\1/\2", "?" if dim is None else str(dim))
    return text if len(text) <= _LONGEST else "?"
