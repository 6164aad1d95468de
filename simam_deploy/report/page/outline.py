"""The network drawn from top to bottom: a box a block, its SimAM sites, what goes past them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from simam_deploy.core.specs import TensorSpec
from simam_deploy.graph.outline import Outline, Row
from simam_deploy.graph.outline.rows import DETECTOR, SIMAM
from simam_deploy.report.columns import short
from simam_deploy.report.page.html import tag
from simam_deploy.report.page.shapes import shape_of
from simam_deploy.report.terminal import one_line

_WIDTH, _RIGHT = 368, 8
_LANE, _LANES = 9, 7
"""Of what goes past whole rows; more than there is room for share the last."""
_LINE, _PAD, _GAP = 16, 6, 20
_LETTERS = 0.16
"""Letters of 11.5 pixels in a pixel."""
_BOLD = 0.85
"""Of those, where they are bold."""


@dataclass(frozen=True)
class _Placed:
    """A row, where it stands."""

    row: Row
    lines: tuple[tuple[str, str], ...]
    top: float

    @property
    def height(self) -> float:
        return 2 * _PAD + _LINE * len(self.lines)

    @property
    def bottom(self) -> float:
        return self.top + self.height


def outline_drawing(
    outline: Outline, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> Markup:
    """Draw a network's outline; 368 pixels wide, so that a phone shows it as it is."""
    past = [(a, b) for a, b in outline.edges if b > a + 1]
    lanes = _lanes(past)
    left = 10 + _LANE * min(max(lanes.values(), default=0), _LANES)
    letters = int((_WIDTH - left - _RIGHT - 28) * _LETTERS)
    placed = list(_placed(outline.rows, letters))
    bottom = placed[-1].bottom + _GAP if placed else 2 * _GAP
    parts = [
        _end("in", inputs, left, 11, letters),
        *(_flow(left, a, b) for a, b in _straight(outline, placed)),
        *(_past(placed, edge, left, lane) for edge, lane in lanes.items()),
        *(tag("g", _box(each, left)) for each in placed),
        _end("out", outputs, left, bottom + 11, letters),
    ]
    return tag(
        "svg",
        parts,
        class_="outline",
        role="img",
        aria_label="The network's blocks from input to output",
        viewBox=f"0 0 {_WIDTH} {bottom + 18:g}",
    )


def _placed(rows: Sequence[Row], letters: int) -> Iterator[_Placed]:
    top = 18.0 + _GAP
    for row in rows:
        placed = _Placed(row, tuple(_lines(row, letters)), top)
        yield placed
        top = placed.bottom + _GAP


def _lines(row: Row, letters: int) -> Iterator[tuple[str, str]]:
    """Give the lines of a row, each with its kind."""
    head = shape_of(row.shape) if row.shape else ""
    times = f"{row.count} blocks of " if row.count > 1 else ""
    yield "soft", f"{times}{head}" if head else " "
    yield from (("op", line) for line in _wrapped(row.before, letters))
    if row.landmark:
        yield row.landmark, _named(row, int(letters * _BOLD))
    after = [
        f"{word} the skip{_through(row.beside)}" if word == "add" and row.skips else word
        for word in row.after
    ]
    yield from (("op", line) for line in _wrapped(after, letters))


def _named(row: Row, letters: int) -> str:
    if row.landmark == DETECTOR:
        return row.names[0]
    names = [one_line(name) for name in row.names]
    if row.count == 1:
        return f"SimAM  {short(names[0], letters - 7)}"
    first, last = (short(name, (letters - 10) // 2) for name in (names[0], names[-1]))
    return f"SimAM  {first} \N{HORIZONTAL ELLIPSIS} {last}"


def _through(beside: Sequence[str]) -> str:
    return f" ({', '.join(beside)})" if beside else ""


def _wrapped(words: Sequence[str], letters: int) -> Iterator[str]:
    """Put words into lines, never breaking one."""
    line = ""
    for word in words:
        joined = f"{line}, {word}" if line else word
        if len(joined) > letters and line:
            yield f"{line},"
            joined = word
        line = joined
    if line:
        yield line


def _box(placed: _Placed, left: float) -> Iterator[Markup]:
    """Draw a row: its frame, its lines, and the skip around its site."""
    x, width = left + 8, _WIDTH - left - 8 - _RIGHT
    yield tag("title", ", ".join(placed.row.names) or "no SimAM")
    if placed.row.count > 1:
        yield _rect("box", x + 3, placed.top + 3, width, placed.height)
    yield _rect("box", x, placed.top, width, placed.height)
    for number, (kind, line) in enumerate(placed.lines):
        y = placed.top + _PAD + _LINE * number
        if kind in (SIMAM, DETECTOR):
            own = "site" if kind == SIMAM else "op"
            yield _rect(own, x + 14, y, width - 22, _LINE)
        classes = {SIMAM: "on-site", "soft": "soft"}
        yield _text(x + 20, y + 12, line, classes.get(kind))
    if placed.row.skips:
        yield _skip(placed, x)


def _skip(placed: _Placed, x: float) -> Markup:
    """Draw what goes past a block's site, within its box."""
    top, low = placed.top + _PAD + 6, placed.bottom - _PAD - 5
    line = f"M{x + 14:g} {top:g}H{x + 7:g}V{low:g}H{x + 14:g}"
    return tag("path", class_="flow", d=line) + _tip(x + 17, low, "right")


def _straight(outline: Outline, placed: Sequence[_Placed]) -> Iterator[tuple[float, float]]:
    """Give where arrows to the next row begin and end: from the input, and to the output too."""
    if not placed:
        return
    yield 16, placed[0].top
    for a, b in outline.edges:
        if b == a + 1:
            yield placed[a].bottom, placed[b].top
    yield placed[-1].bottom, placed[-1].bottom + _GAP


def _flow(left: float, top: float, bottom: float) -> Markup:
    x = (left + _WIDTH) / 2
    line = tag("path", class_="flow", d=f"M{x:g} {top:g}V{bottom - 4:g}")
    return line + _tip(x, bottom, "down")


def _tip(x: float, y: float, way: str) -> Markup:
    """Draw an arrow's head."""
    shape = "l-4 -6h8z" if way == "down" else "l-6 -4v8z"
    return tag("path", class_="tip", d=f"M{x:g} {y:g}{shape}")


def _lanes(edges: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Give each edge that goes past rows the first lane that is free over all of them."""
    lanes: dict[tuple[int, int], int] = {}
    for edge in sorted(edges, key=lambda e: e[1] - e[0]):
        taken = {n for other, n in lanes.items() if other[0] < edge[1] and edge[0] < other[1]}
        lanes[edge] = next(n for n in range(1, len(edges) + 2) if n not in taken)
    return lanes


def _past(placed: Sequence[_Placed], edge: tuple[int, int], left: float, lane: int) -> Markup:
    """Draw what goes past rows, at the left of them."""
    x = left - _LANE * min(lane, _LANES)
    start, end = placed[edge[0]].bottom - 8, placed[edge[1]].top + 8
    line = f"M{left + 8:g} {start:g}H{x:g}V{end:g}H{left + 2:g}"
    return tag("path", class_="past", d=line) + _tip(left + 8, end, "right")


def _end(word: str, specs: Sequence[TensorSpec], left: float, y: float, letters: int) -> Markup:
    said = one_line("; ".join(map(str, specs))).replace(" x ", "\N{MULTIPLICATION SIGN}")
    if len(said) > letters + 6:
        said = f"{len(specs)} {word}puts" if len(specs) > 1 else short(said, letters)
    return _text((left + _WIDTH) / 2, y, said, None, "middle")


def _rect(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    return tag(
        "rect", class_=kind, x=f"{x:g}", y=f"{y:g}", width=f"{width:g}", height=f"{height:g}", rx=4
    )


def _text(x: float, y: float, said: str, kind: str | None, anchor: str | None = None) -> Markup:
    return tag("text", said, class_=kind, x=f"{x:g}", y=f"{y:g}", text_anchor=anchor)
