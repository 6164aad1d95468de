"""What `simam bench attention` prints."""

from __future__ import annotations

from collections.abc import Iterator

from simam_deploy.bench.attention import AttentionReport, AttentionRow, finding
from simam_deploy.models.attention.kinds import KINDS
from simam_deploy.report.bench_text import INTERRUPTED, circumstances_lines, ratio_text
from simam_deploy.report.columns import columns, size_text
from simam_deploy.report.terminal import one_line

_HEAD = ("with", "parameters", "Gflops", "launches", "memory", "export")


def attention_table(report: AttentionReport) -> str:
    """Lay a report out for a terminal 100 columns wide."""
    backbones = dict.fromkeys(row.backbone for row in report.rows)
    lines = [line for name in backbones for line in _backbone(name, report)]
    notes = [
        f"note: {row.backbone} with {KINDS[row.attention].title}: {one_line(note)}"
        for row in report.rows
        for note in (*row.notes, *([row.export] if row.export != "ok" else []))
    ]
    ends = [INTERRUPTED] if report.interrupted else []
    found = [f"found: {line}" for line in finding(report.rows)]
    return "\n".join([*lines, *found, *notes, *circumstances_lines(report.circumstances), *ends])


def _backbone(name: str, report: AttentionReport) -> Iterator[str]:
    rows = [row for row in report.rows if row.backbone == name]
    batches = dict.fromkeys(each.batch for row in rows for each in row.batches)
    heads = [f"times none, batch {batch}" for batch in batches]
    yield name
    yield from columns([(*_HEAD, *heads), *((*_cells(row), *_times(row, batches)) for row in rows)])
    yield ""


def _cells(row: AttentionRow) -> tuple[str, ...]:
    return (
        KINDS[row.attention].title,
        f"{row.parameters / 1e6:.3f} M",
        f"{row.flops / 1e9:.3f}",
        "-" if row.launches is None else str(row.launches),
        "-" if row.peak_memory is None else size_text(row.peak_memory),
        "ok" if row.export == "ok" else "refused",
    )


def _times(row: AttentionRow, batches: dict[int, None]) -> Iterator[str]:
    """Word how many times the time without attention each batch takes."""
    ratios = {each.batch: each.ratio for each in row.batches}
    for batch in batches:
        ratio = ratios.get(batch)
        yield (
            "1" if row.attention == "none" else "-" if ratio is None else ratio_text(ratio.inverse)
        )
