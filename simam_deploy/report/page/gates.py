"""The section that shows every site's gates: a histogram each, one line a precision."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from simam_deploy.op.contract import GATE_FLOOR
from simam_deploy.pipeline.gathered import Gathered, Variant
from simam_deploy.precision.gate_histogram import BINS, HIGH, LOW, GateHistogram
from simam_deploy.report.page.html import figure, section, tag
from simam_deploy.report.page.plots import COLOURS, plot
from simam_deploy.report.page.shapes import shape_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = (240, 118)
_LEAST = 1e-5
"""The share of pixels at the foot of the logarithmic axis."""
_DASHES = {"fp32": "-", "fp16": "--", "bf16": "--", "int8": ":", "fp8": "-."}

Line = tuple[Variant, GateHistogram]


def gates(of: Gathered) -> Markup | None:
    """Show the gates of all sites; None where no file was run."""
    seen = [variant for variant in of.variants if variant.histograms]
    if not seen:
        return None
    lines = _by_site(seen)
    cards = [_card(number, site) for number, site in enumerate(lines)]
    intro = (
        "What each site multiplies its map by, y / x as the file's own nodes round, for one input: "
        f"{of.shown}. A pixel at its plane's mean gets the floor, "
        f"{GATE_FLOOR:.4f} (the vertical line); the further it stands out, the nearer to 1. "
        "The height is the share of pixels, on a logarithmic axis."
    )
    left_out = (
        tag("p", f"{v.path.name}: {v.reason}", class_="soft") for v in of.variants if v.reason
    )
    return section(
        "gates",
        "Gates, site by site",
        tag("p", intro),
        _legend(seen),
        tag("div", cards, class_="cards"),
        left_out,
    )


def _by_site(seen: Sequence[Variant]) -> list[list[Line]]:
    """Put together what the files have of each of the first file's sites, by name, else place."""
    sites: list[list[Line]] = [[] for _ in seen[0].histograms]
    names = [each.name for each in seen[0].histograms]
    for variant in seen:
        own = {each.name: each for each in variant.histograms}
        if own.keys() != set(names) and len(own) == len(names):
            own = dict(zip(names, variant.histograms, strict=True))
        for name, lines in zip(names, sites, strict=True):
            if name in own:
                lines.append((variant, own[name]))
    return sites


def _legend(seen: Sequence[Variant]) -> Markup:
    entries = (
        tag("span", tag("i", class_=f"swatch {v.precision}"), f"{v.precision}: {v.path.name}")
        for v in seen
    )
    return tag("p", entries, class_="legend")


def _card(number: int, site: Sequence[Line]) -> Markup:
    first = site[0][1]
    label = f"Gates of {first.name}: {'; '.join(_ranges(site))}"
    drawing = plot(f"gate{number}", label, _SIZE, lambda axes: _draw(axes, site))
    ranges = [
        [tag("span", text, class_=variant.precision), tag("br")]
        for text, (variant, _) in zip(_ranges(site), site, strict=True)
    ]
    title = tag("h3", first.name, " ", tag("span", shape_of(first.shape[1:]), class_="soft"))
    return figure([title, drawing], ranges, "small")


def _ranges(site: Sequence[Line]) -> Iterator[str]:
    for variant, seen in site:
        if math.isnan(seen.low):
            yield f"{variant.precision} shows none"
            continue
        broken = f", {seen.broken} values NaN or infinite" if seen.broken else ""
        yield f"{variant.precision} {seen.low:.4f} to {seen.high:.4f}, mean {seen.mean:.4f}{broken}"


def _draw(axes: Axes, site: Sequence[Line]) -> None:
    edges = [LOW + (HIGH - LOW) * i / BINS for i in range(BINS + 1)]
    for variant, seen in site:
        kind = variant.precision
        heights = [max(share, _LEAST) for share in seen.shares]
        filled = variant is site[0][0]  # the others lie over it, mostly within a line's width
        axes.stairs(
            heights, edges, baseline=_LEAST, color=COLOURS[kind], linestyle=_DASHES[kind],
            linewidth=0 if filled else 1.5, fill=filled, alpha=0.35 if filled else 1,
        )  # fmt: skip
    axes.axvline(GATE_FLOOR, color=COLOURS["soft"], linewidth=0.8)
    axes.set(xlim=(LOW - 0.005, HIGH), yscale="log", ylim=(_LEAST, 1.5))
    axes.set_xticks([0.7, 0.8, 0.9, 1.0])
    axes.set_yticks([1e-4, 1e-2, 1], ["0.01 %", "1 %", "100 %"])
    axes.minorticks_off()
