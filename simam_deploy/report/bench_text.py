"""What `simam bench` prints."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from simam_deploy.bench.records import (
    Agreement,
    BatchRow,
    BenchReport,
    Circumstances,
    Ratio,
    Roofline,
    SiteRow,
    SubjectRow,
)
from simam_deploy.bench.rows import accuracy_of
from simam_deploy.core.specs import shape_text
from simam_deploy.report.columns import columns, size_text
from simam_deploy.report.terminal import one_line

_HEAD = ("model", "batch", "p50", "p90", "p99 ms", "rows/s", "times as fast", "agrees")
_STILL = ("model", "precision", "size", "cold start", "peak memory", "launches", "accuracy")
INTERRUPTED = "interrupted: these are the figures taken until then"


def bench_table(report: BenchReport) -> str:
    """Lay a report out for a terminal 100 columns wide."""
    lines = [
        *columns([_HEAD, *(cells for s in report.subjects for cells in _timed(s))]),
        "",
        *columns([_STILL, *_still(report)]),
        *(line for roofline in report.rooflines for line in ["", *_roofline(roofline)]),
        "",
        *_remarks(report),
    ]
    return "\n".join(lines)


def _timed(subject: SubjectRow) -> Iterator[tuple[str, ...]]:
    """Give the cells of every batch; of what was not timed, dashes: the reason is a remark."""
    for row in subject.batches:
        times = row.times
        shown = ("-",) * 4 if times is None else (
            _number(times.p50_ms),
            _number(times.p90_ms),
            _number(times.p99_ms),
            _number(times.rows_per_second),
        )  # fmt: skip
        beside = ratio_text(row.ratio) if row.ratio else "-", _agreement(row.agreement)
        yield (subject.name, str(row.batch), *shown, *beside)


def ratio_text(ratio: Ratio) -> str:
    """Word a ratio and its interval."""
    if ratio.low is None or ratio.high is None:
        return f"{ratio.value:.3f}"
    return f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})"


def _agreement(found: Agreement | None) -> str:
    if found is None:
        return "-"
    if found.worst is None:
        return "NO"
    return f"{'yes' if found.passed else 'NO'}, {found.worst:.0e} ({found.allowed:.0e})"


def _still(report: BenchReport) -> Iterator[tuple[str, ...]]:
    """Give the cells of what does not depend on the batch."""
    for s in report.subjects:
        size = "-" if s.size is None else size_text(s.size)
        cold = "-" if s.cold_start_s is None else _cold(s.cold_start_s, s.cold_start_processor_s)
        peak = "-" if s.peak_memory is None else size_text(s.peak_memory)
        launches = "-" if s.launches is None else str(s.launches)
        yield s.name, s.precision or "-", size, cold, peak, launches, accuracy_of(s) or "-"


def _cold(wall: float, processor: float | None) -> str:
    return f"{wall:.2f} s ({processor or 0:.2f} s processor)"


def _roofline(roofline: Roofline) -> Iterator[str]:
    """Show sites against copies, those of one map together."""
    whole = "" if roofline.share is None else (
        f": its layers and sites move {size_text(roofline.moved or 0)} at least, a copy of which "
        f"takes {roofline.share:.0%} of its {_number(roofline.taken_ms)} ms"
    )  # fmt: skip
    yield one_line(f"{roofline.subject} at batch {roofline.batch}{whole}")
    told: dict[tuple[int, ...], list[SiteRow]] = {}
    for site in roofline.sites:
        if site.share is not None:
            told.setdefault(site.shape, []).append(site)
    if told:
        head = ("SimAM sites", "map", "a copy, us", "each, us", "of a copy's speed")
        yield from columns([head, *(_alike(shape, sites) for shape, sites in told.items())])
    yield from (f"  {line}" for line in _untold(roofline))


def _alike(shape: tuple[int, ...], sites: Sequence[SiteRow]) -> tuple[str, ...]:
    """Give the cells of sites that see one map: medians over them."""
    return (
        sites[0].name if len(sites) == 1 else f"{sites[0].name} and {len(sites) - 1} more",
        shape_text(shape),
        _number(1e3 * statistics.median(site.floor_ms for site in sites)),
        _number(1e3 * statistics.median(site.taken_ms or 0 for site in sites)),
        f"{statistics.median(site.share or 0 for site in sites):.0%}",
    )


def _untold(roofline: Roofline) -> Iterator[str]:
    untold = [site for site in roofline.sites if site.share is None]
    if untold:
        yield one_line(f"{len(untold)} sites not told apart: {untold[0].note}")
    if not roofline.sites:
        yield "no SimAM site is found in it"


def _remarks(report: BenchReport) -> Iterator[str]:
    """Say how it was measured, and what went wrong."""
    first = report.first.name
    clocks = {row.ratio.clock for s in report.subjects for row in s.batches if row.ratio}
    if clocks:
        how = {"processor": "processor time", "wall": "wall time", "gpu": "the GPU's time"}
        by = " and ".join(sorted(how[clock] for clock in clocks))
        yield (
            f"times as fast as {one_line(first)}, by {by}; 95 % intervals over {report.starts} "
            f"starts of each process, {report.rounds} rounds"
        )
    if report.reference:
        yield f"agrees with {one_line(report.reference)} on the inputs that are timed (allowed)"
    yield from circumstances_lines(report.circumstances)
    yield from (f"note: {one_line(line)}" for line in _notes(report))
    if report.interrupted:
        yield INTERRUPTED


def circumstances_lines(found: Circumstances) -> Iterator[str]:
    """Word where and when figures were taken."""
    threads = f"{found.threads} thread{'s' if found.threads > 1 else ''}"
    gpu = f", {found.gpu}" if found.gpu else ""
    yield one_line(f"{found.date}, {found.machine}{gpu}, {threads}")
    yield one_line(", ".join(f"{name} {version}" for name, version in found.versions.items()))


def _notes(report: BenchReport) -> Iterator[str]:
    yield from report.notes
    for subject in report.subjects:
        yield from (f"{subject.name}: {note}" for note in subject.notes)
        if subject.reason:
            yield f"{subject.name} was not measured: {subject.reason}"
        for row in subject.batches:
            yield from (f"{subject.name} at batch {row.batch}: {line}" for line in _row(row))


def _row(row: BatchRow) -> Iterator[str]:
    if row.reason:
        yield row.reason
    if row.agreement is not None and row.agreement.reason:
        yield f"outputs: {row.agreement.reason}"
    if row.times is not None and not row.times.stable:
        yield f"not stable after {row.times.warm_runs} runs to warm up"


def _number(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
