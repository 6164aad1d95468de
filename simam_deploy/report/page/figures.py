"""Figures on a page: read out of what somebody may have edited, written, drawn as a bar."""

from __future__ import annotations

import math

from markupsafe import Markup

from simam_deploy.report.page.html import tag

_MOST = 1e300


def number(value: object) -> float | None:
    """Take a number out of a document; None for what is none, or is beyond all sense."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < _MOST else None


def times(value: float) -> str:
    """Write a factor in two digits, and a large one without an exponent: `7.5`, `27,000`."""
    return f"{float(f'{value:.2g}'):,.0f}" if 100 <= value < 1e7 else f"{value:.2g}"


def error(value: float) -> str:
    """Write an error: `4.5e-07`, and nothing at all as `0`."""
    return f"{value:.2e}" if value else "0"


def meter(share: float) -> Markup:
    """Draw how much of a bound is used, with the figure."""
    said = f"{share:.1%}" if share < 10 else f"{times(share)}\N{MULTIPLICATION SIGN}"
    return tag("span", bar(share, share > 1), f" {said}", class_="measure")


def bar(share: float, bad: bool) -> Markup:
    """Draw a share of a length, from 0 to 1."""
    width = 1.0 if math.isinf(share) else min(max(share, 0.0), 1.0)
    fill = tag("i", style=f"width: {width:.1%}")
    return tag("span", fill, class_="meter over" if bad else "meter")
