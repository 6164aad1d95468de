"""Every site's gates as rows: what they span, and how far off they are.

A row is a site. On the left the range of its gates, as the formula has it (wide bar) and as the
candidate has it (narrow bar); on the right the largest error over its bound, on a logarithmic
axis whose line at 1 is the bound. What failed is red, has a cross, and says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from markupsafe import Markup

from simam_deploy.core.validation import GateCheck
from simam_deploy.report.columns import short
from simam_deploy.report.page.html import tag
from simam_deploy.report.terminal import one_line

_ROW, _TOP, _BOTTOM = 26, 44, 14
_NAME_WIDTH = 30
_RANGE = (250, 530)
_ERROR = (585, 845)
_FIGURES = 864
_WIDTH = 1000
_GATES = (0.6, 1.0)
_RATIOS = (-3.0, 3.0)
"""Powers of ten; what is beyond is drawn at the edge."""


def gate_rows(gates: tuple[GateCheck, ...]) -> Markup:
    """Draw the checks of a network's sites."""
    height = _TOP + _ROW * len(gates) + _BOTTOM
    tops = [(check, _TOP + _ROW * number) for number, check in enumerate(gates)]
    return tag(
        "svg",
        (_shade(check, top) for check, top in tops),
        _axes(height - _BOTTOM),
        (_row(check, top) for check, top in tops),
        class_="gates",
        role="img",
        aria_label="Ranges and errors of SimAM gates",
        viewBox=f"0 0 {_WIDTH} {height}",
    )


def _shade(check: GateCheck, top: int) -> Markup | None:
    """Tell rows apart, and those that failed from the others."""
    kind = "tint" if not check.passed else "band" if (top - _TOP) // _ROW % 2 else None
    if kind is None:
        return None
    return tag("rect", class_=kind, x=0, y=top, width=_WIDTH, height=_ROW)


def _axes(bottom: int) -> Iterator[Markup]:
    """Draw both scales and the bound."""
    yield _text(8, 16, "site", "soft")
    yield _text(_RANGE[0], 16, "gate: formula (wide), candidate (narrow)", "soft")
    yield _text(_ERROR[0], 16, "largest error / bound", "soft")
    yield _text(_FIGURES, 16, "error of allowed", "soft")
    for gate in (0.6, 0.7, 0.8, 0.9, 1.0):
        yield from _tick(_gate_x(gate), bottom, f"{gate:.1f}", "grid")
    for power in (-3, -2, -1, 0, 1, 2, 3):
        label = "bound" if power == 0 else f"{10.0**power:g}"
        yield from _tick(_ratio_x(10.0**power), bottom, label, "grid" if power else "bound")


def _tick(x: float, bottom: int, label: str, kind: str) -> Iterator[Markup]:
    yield tag("line", class_=kind, x1=f"{x:.1f}", x2=f"{x:.1f}", y1=_TOP - 4, y2=bottom)
    yield _text(x, _TOP - 10, label, "soft", "middle")


def _row(check: GateCheck, top: int) -> Markup:
    """Draw one site."""
    middle = top + _ROW / 2
    kind = "name" if check.passed else "name bad"
    name = _text(8, middle + 4, short(one_line(check.name), _NAME_WIDTH), kind)
    marks = _bars(check, middle) if math.isfinite(check.error_ulps) else _reason(check, middle)
    return tag("g", tag("title", _explanation(check)), name, marks)


def _bars(check: GateCheck, middle: float) -> Iterator[Markup]:
    yield _bar(check.expected, middle - 7, 14, "wide")
    yield _bar(check.gate, middle - 2.5, 5, "good" if check.passed else "bad")
    yield from _error(check, middle)


def _reason(check: GateCheck, middle: float) -> Iterator[Markup]:
    yield _cross(_RANGE[0] + 6, middle)
    yield _text(_RANGE[0] + 20, middle + 4, short(one_line(check.reason), 100), "bad")


def _bar(limits: tuple[float, float], y: float, height: float, kind: str) -> Markup:
    low, high = (_gate_x(limit) for limit in limits)
    width = max(high - low, 2)
    return tag("rect", class_=kind, x=f"{low:.1f}", y=y, width=f"{width:.1f}", height=height)


def _error(check: GateCheck, middle: float) -> Iterator[Markup]:
    """Draw the error as a bar from the axis's left, or as a cross where it failed."""
    x, left = _ratio_x(check.error_ulps / check.allowed_ulps), _ERROR[0]
    kind = "good" if check.passed else "bad"
    width = max(x - left, 1)
    yield tag("rect", class_=kind, x=left, y=middle - 3, width=f"{width:.1f}", height=6)
    if not check.passed:
        yield _cross(x, middle)
    figures = f"{check.error_ulps:.3g} of {check.allowed_ulps:.3g}"
    yield _text(_FIGURES, middle + 4, figures, "soft" if check.passed else "bad")


def _cross(x: float, y: float) -> Markup:
    a, b = (f"M{x - 5:.1f} {y + s * 5}L{x + 5:.1f} {y - s * 5}" for s in (1, -1))
    return tag("path", class_="cross", d=f"{a}{b}")


def _explanation(check: GateCheck) -> str:
    """Say everything of a site, for whoever points at it."""
    verdict = "passed" if check.passed else f"failed: {check.reason or 'beyond its bound'}"
    if not math.isfinite(check.error_ulps):
        return f"{check.name}: {verdict}"
    low, high = check.gate
    return (
        f"{check.name}: {verdict}; gates {low:.4f} to {high:.4f}, "
        f"expected {check.expected[0]:.4f} to {check.expected[1]:.4f}; "
        f"cosine {check.cosine:.5f}, collapsed {check.collapsed:.1%}"
    )


def _gate_x(gate: float) -> float:
    return _placed((gate - _GATES[0]) / (_GATES[1] - _GATES[0]), _RANGE)


def _ratio_x(ratio: float) -> float:
    power = math.log10(ratio) if ratio > 0 else _RATIOS[0]
    return _placed((power - _RATIOS[0]) / (_RATIOS[1] - _RATIOS[0]), _ERROR)


def _placed(share: float, span: tuple[int, int]) -> float:
    return span[0] + (span[1] - span[0]) * min(max(share, 0.0), 1.0)


def _text(x: float, y: float, said: str, kind: str, anchor: str = "start") -> Markup:
    return tag("text", said, class_=kind, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)
