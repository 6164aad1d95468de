"""The section that shows how fast it is: latency side by side, and sites against a copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from simam_deploy.bench.records import BatchRow, BenchReport, Roofline, SiteRow, SubjectRow
from simam_deploy.pipeline.gathered import Gathered
from simam_deploy.report.columns import short, size_text
from simam_deploy.report.page.html import Child, figure, pairs, section, table, tag
from simam_deploy.report.page.plots import COLOURS, plot
from simam_deploy.report.terminal import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _LINE, _ENDS = 560, 19, 62
_LETTERS = 34


def speed(of: Gathered) -> Markup | None:
    """Show what a benchmark found; None without one."""
    bench = of.bench
    if bench is None:
        return None
    return section(
        "speed",
        "Speed",
        _interrupted(bench),
        [_latency(number, batch, bench) for number, batch in enumerate(_batches(bench))],
        _subjects(bench),
        [_roofline(number, each) for number, each in enumerate(bench.rooflines)],
        tag("h3", "Where and when"),
        pairs(_circumstances(bench)),
    )


def _interrupted(bench: BenchReport) -> Child:
    return (
        tag("p", "The benchmark was interrupted: figures are those taken before.", class_="said")
        if bench.interrupted
        else None
    )


def _batches(bench: BenchReport) -> list[int]:
    return sorted({row.batch for subject in bench.subjects for row in subject.batches if row.times})


def _at(batch: int, bench: BenchReport) -> list[tuple[SubjectRow, BatchRow]]:
    rows = ((s, row) for s in bench.subjects for row in s.batches)
    return [(s, row) for s, row in rows if row.batch == batch and row.times is not None]


def _latency(number: int, batch: int, bench: BenchReport) -> Markup:
    """Show the latency of all subjects at one batch."""
    rows = _at(batch, bench)
    names = [subject.name for subject, _ in rows]
    said = "; ".join(f"{s.name} {r.times.p50_ms:.3g} ms" for s, r in rows if r.times)
    drawing = _lines_plot(
        f"latency{number}", f"Latency at batch {batch}: {said}", len(rows),
        lambda axes: _draw_latency(axes, names, rows),
    )  # fmt: skip
    caption = (
        f"Milliseconds a run at batch {batch}: the dot is the median, the line reaches from it to "
        "the slowest of ten and, thinner, of a hundred. All took turns within one run."
    )
    return tag(
        "div", tag("h3", f"Latency at batch {batch}"), figure(drawing, caption, "small main")
    )


def _lines_plot(name: str, label: str, lines: int, draw: Callable[[Axes], None]) -> Markup:
    return plot(name, label, (_WIDTH, _ENDS + _LINE * lines), draw)


def _draw_latency(
    axes: Axes, names: Sequence[str], rows: Sequence[tuple[SubjectRow, BatchRow]]
) -> None:
    for y, (subject, row) in enumerate(rows):
        times, colour = row.times, _colour(subject)
        assert times is not None
        axes.plot([times.p50_ms, times.p99_ms], [y, y], color=colour, linewidth=1)
        axes.plot([times.p50_ms, times.p90_ms], [y, y], color=colour, linewidth=3)
        axes.plot([times.p50_ms], [y], color=colour, marker="o", markersize=6)
    _name_lines(axes, names)
    axes.set_xlim(left=0)
    axes.set_xlabel("ms")


def _name_lines(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [short(one_line(name), _LETTERS) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")


def _colour(subject: SubjectRow) -> str:
    return COLOURS.get(subject.precision, COLOURS["ink"])


def _subjects(bench: BenchReport) -> Child:
    """Show every figure of every subject: no speed without its accuracy beside it."""
    head = ("model", "batch", "median ms", "rows a second", "ratio to the first", "agrees",
            "size", "cold start", "memory", "launches")  # fmt: skip
    rows = [cells for subject in bench.subjects for cells in _cells(subject)]
    notes = [f"{s.name}: {note}" for s in bench.subjects for note in s.notes]
    lines = (tag("p", note, class_="soft") for note in (*notes, *bench.notes))
    return [tag("h3", "All figures"), table(head, rows), lines]


def _cells(subject: SubjectRow) -> Iterator[tuple[Child, ...]]:
    if not subject.batches:
        yield (subject.name, "", tag("span", subject.reason, class_="bad"))
    whole = (
        "" if subject.size is None else size_text(subject.size),
        "" if subject.cold_start_s is None else f"{subject.cold_start_s:.2f} s",
        "" if subject.peak_memory is None else size_text(subject.peak_memory),
        "" if subject.launches is None else str(subject.launches),
    )
    for number, row in enumerate(subject.batches):
        own = whole if number == 0 else ("",) * len(whole)
        yield (subject.name, str(row.batch), *_timed(row), _agrees(row), *own)


def _timed(row: BatchRow) -> tuple[Child, Child, Child]:
    times, ratio = row.times, row.ratio
    if times is None:
        return tag("span", row.reason or "not timed", class_="bad"), "", ""
    said = ""
    if ratio is not None:
        ends = (
            ""
            if ratio.low is None or ratio.high is None
            else f" ({ratio.low:.3g} to {ratio.high:.3g})"
        )
        said = f"{ratio.value:.3g}\N{MULTIPLICATION SIGN}{ends}"
    return f"{times.p50_ms:.3g}", f"{times.rows_per_second:.3g}", said


def _agrees(row: BatchRow) -> Child:
    found = row.agreement
    if found is None:
        return "\N{EN DASH}"
    if found.worst is None or found.allowed is None:
        return tag("span", found.reason or "not compared", class_="bad")
    figures = f"{found.worst:.1e} of {found.allowed:.0e}"
    return figures if found.passed else tag("span", figures, class_="bad")


def _roofline(number: int, of: Roofline) -> Markup:
    """Show how near each site, and the network, is to a copy of what it must move."""
    timed = [site for site in of.sites if site.share is not None]
    title = tag("h3", f"Against a copy: {of.subject}, batch {of.batch}")
    caption = (
        "How fast each SimAM site is, as a share of a copy of its map, which must be read and "
        f"written once: 100 % is the floor (dashed); the axis is logarithmic. "
        f"Measured on {of.device}, where a copy moved "
        f"{of.copy_gb_s:.3g} GB a second in the same run."
    )
    parts: list[Child] = [title]
    if timed:
        shares = "; ".join(f"{site.name} {site.share:.0%}" for site in timed)
        drawing = _lines_plot(
            f"roofline{number}", f"Share of a copy: {shares}", len(timed),
            lambda axes: _draw_shares(axes, timed),
        )  # fmt: skip
        parts.append(figure(drawing, caption, "main"))
    whole = "" if of.share is None or of.floor_ms is None else (
        f"The network as a whole took {of.taken_ms:.3g} ms under the profiler; a copy of all that "
        f"it must move takes {of.floor_ms:.3g} ms, {of.share:.0%} of that."
    )  # fmt: skip
    lost = [f"{site.name}: {site.note}" for site in of.sites if site.share is None and site.note]
    return tag(
        "div", parts, (tag("p", line, class_="soft") for line in (whole, of.note, *lost) if line)
    )


def _draw_shares(axes: Axes, sites: Sequence[SiteRow]) -> None:
    shares = [100 * (site.share or 0.0) for site in sites]
    low = min(1.0, *shares) / 1.5
    axes.hlines(range(len(sites)), low, shares, color=COLOURS["accent"], linewidth=3)
    axes.plot(shares, range(len(sites)), "o", color=COLOURS["accent"], markersize=6)
    axes.axvline(100, color=COLOURS["ink"], linewidth=1, linestyle="--")
    _name_lines(axes, [site.name for site in sites])
    axes.set(xscale="log", xlim=(low, max(130.0, *shares)), xlabel="% of a copy's speed")
    ticks = [tick for tick in (0.1, 1, 10, 100) if tick > low]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()


def _circumstances(bench: BenchReport) -> list[tuple[str, Child]]:
    about = bench.circumstances
    versions = ", ".join(f"{name} {version}" for name, version in about.versions.items())
    return [
        ("date", about.date),
        ("machine", about.machine),
        *([("GPU", about.gpu)] if about.gpu else []),
        ("threads of a run", str(about.threads)),
        ("versions", versions),
        ("taken over", f"{bench.starts} starts of each, {bench.rounds} rounds"),
    ]
