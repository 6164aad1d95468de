"""Every site's gates as one HTML page: inline SVG, nothing from elsewhere, light and dark.

A row is a site. On the left the range of its gates, as the formula has it (wide bar) and as the
candidate has it (narrow bar); on the right the largest error over its bound, on a logarithmic
axis whose line at 1 is the bound. What failed is red, has a cross, and says why.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator

from simam_deploy.core.validation import GateCheck
from simam_deploy.report.columns import short
from simam_deploy.report.terminal import one_line
from simam_deploy.verify.report import ComparisonReport

_ROW, _TOP, _BOTTOM = 26, 44, 14
_NAME_WIDTH = 30
_RANGE = (250, 530)
_ERROR = (585, 845)
_FIGURES = 864
_WIDTH = 1000
_GATES = (0.6, 1.0)
_RATIOS = (-3.0, 3.0)
"""Powers of ten; what is beyond is drawn at the edge."""

_BACKGROUND = '<rect x="0"'

_STYLE = """
:root { color-scheme: light dark; --ink: #1d232b; --soft: #616b78; --line: #d8dde4;
  --ground: #ffffff; --band: #f4f6f9; --wide: #c3ccd8; --good: #1c6fd1; --bad: #c62828;
  --tint: #fdecec; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #98a3b3; --line: #333b46;
  --ground: #14181d; --band: #1a2027; --wide: #465160; --good: #62a8ff; --bad: #ff7b72;
  --tint: #3a1d1f; } }
body { margin: 24px auto; max-width: 1040px; padding: 0 20px; background: var(--ground);
  color: var(--ink); font: 14px/1.5 system-ui, sans-serif; }
h1 { font-size: 19px; margin: 0 0 2px; overflow-wrap: anywhere; }
p { margin: 2px 0; color: var(--soft); overflow-wrap: anywhere; }
p.bad { color: var(--bad); }
svg { width: 100%; height: auto; margin-top: 14px; font: 12px system-ui, sans-serif; }
text { fill: var(--ink); } .soft { fill: var(--soft); } text.bad { fill: var(--bad); }
.name { font-family: ui-monospace, monospace; } .grid { stroke: var(--line); }
.bound { stroke: var(--ink); stroke-dasharray: 4 3; } .band { fill: var(--band); }
.tint { fill: var(--tint); } .wide { fill: var(--wide); } .good { fill: var(--good); }
rect.bad { fill: var(--bad); } .cross { stroke: var(--bad); stroke-width: 2; }
"""


def gate_plot(report: ComparisonReport) -> str:
    """Draw a report's gates.

    Returns:
        The document, UTF-8.
    """
    title = f"{report.candidate.file} against {report.reference.file}"
    verdict = "passed" if report.passed else "FAILED"
    failed = sum(not check.passed for check in report.gates)
    unit = "fp32" if report.candidate.precision == "int8" else report.candidate.precision
    lines = [
        f"<p>{len(report.gates)} SimAM sites, {failed} failed; "
        f"errors in units in the last place of {unit}</p>",
        *(f'<p class="bad">{_shown(failure)}</p>' for failure in report.failures),
    ]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_shown(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{_shown(title)}: {verdict}</h1>",
            *lines,
            _drawing(report.gates),
            "</body></html>\n",
        ]
    )


def _shown(text: str) -> str:
    """Show a text as it is: no markup, and nothing that turns the direction of writing."""
    return html.escape(one_line(text))


def _drawing(gates: tuple[GateCheck, ...]) -> str:
    height = _TOP + _ROW * len(gates) + _BOTTOM
    rows = [
        part
        for number, check in enumerate(gates)
        for part in _row(check, _TOP + _ROW * number, number % 2 == 1)
    ]
    backgrounds = [part for part in rows if part.startswith(_BACKGROUND)]
    marks = [part for part in rows if not part.startswith(_BACKGROUND)]
    head = f'<svg role="img" aria-label="SimAM gates" viewBox="0 0 {_WIDTH} {height}">'
    return "\n".join([head, *backgrounds, *_axes(height - _BOTTOM), *marks, "</svg>"])


def _axes(bottom: int) -> Iterator[str]:
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


def _tick(x: float, bottom: int, label: str, kind: str) -> Iterator[str]:
    yield f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 4}" y2="{bottom}"/>'
    yield _text(x, _TOP - 10, label, "soft", "middle")


def _row(check: GateCheck, top: int, odd: bool) -> Iterator[str]:
    """Draw one site."""
    middle = top + _ROW / 2
    shade = "band" if check.passed else "tint"
    if odd or not check.passed:
        yield f'{_BACKGROUND} class="{shade}" y="{top}" width="{_WIDTH}" height="{_ROW}"/>'
    yield f"<g><title>{_shown(_explanation(check))}</title>"
    kind = "name" if check.passed else "name bad"
    yield _text(8, middle + 4, short(check.name, _NAME_WIDTH), kind)
    if math.isfinite(check.error_ulps):
        yield _bar(check.expected, middle - 7, 14, "wide")
        yield _bar(check.gate, middle - 2.5, 5, "good" if check.passed else "bad")
        yield from _error(check, middle)
    else:
        yield _cross(_RANGE[0] + 6, middle)
        yield _text(_RANGE[0] + 20, middle + 4, short(check.reason, 100), "bad")
    yield "</g>"


def _bar(limits: tuple[float, float], y: float, height: float, kind: str) -> str:
    low, high = (_gate_x(limit) for limit in limits)
    width = max(high - low, 2)
    return f'<rect class="{kind}" x="{low:.1f}" y="{y}" width="{width:.1f}" height="{height}"/>'


def _error(check: GateCheck, middle: float) -> Iterator[str]:
    """Draw the error as a bar from the axis's left, or as a cross where it failed."""
    x, left = _ratio_x(check.error_ulps / check.allowed_ulps), _ERROR[0]
    kind = "good" if check.passed else "bad"
    width = max(x - left, 1)
    yield f'<rect class="{kind}" x="{left}" y="{middle - 3}" width="{width:.1f}" height="6"/>'
    if not check.passed:
        yield _cross(x, middle)
    figures = f"{check.error_ulps:.3g} of {check.allowed_ulps:.3g}"
    yield _text(_FIGURES, middle + 4, figures, "soft" if check.passed else "bad")


def _cross(x: float, y: float) -> str:
    a, b = (f"M{x - 5:.1f} {y + s * 5}L{x + 5:.1f} {y - s * 5}" for s in (1, -1))
    return f'<path class="cross" d="{a}{b}"/>'


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


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_shown(text)}</text>'
    )
