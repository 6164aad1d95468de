"""What `simam bench ops` prints."""

from __future__ import annotations

from simam_deploy.bench.records import OpRow, OpsReport
from simam_deploy.core.specs import shape_text
from simam_deploy.report.bench_text import INTERRUPTED, circumstances_lines, ratio_text
from simam_deploy.report.columns import columns
from simam_deploy.report.terminal import one_line

_HEAD = ("map", "precision", "way", "us", "a copy, us", "times a copy")


def ops_table(report: OpsReport) -> str:
    """Lay a report out for a terminal 100 columns wide."""
    refused = [row for row in report.rows if row.reason]
    return "\n".join(
        [
            *columns([_HEAD, *map(_cells, report.rows)]),
            "",
            *circumstances_lines(report.circumstances),
            *(f"note: {shape_text(r.shape)} {r.precision} {r.way}: {one_line(r.reason)}"
              for r in refused),
            *([INTERRUPTED] if report.interrupted else []),
        ]
    )  # fmt: skip


def _cells(row: OpRow) -> tuple[str, ...]:
    named = shape_text(row.shape), row.precision, row.way
    if row.ratio is None or row.taken_ms is None or row.copy_ms is None:
        return (*named, "-", "-", "-")
    times = f"{1e3 * row.taken_ms:.3g}", f"{1e3 * row.copy_ms:.3g}"
    return (*named, *times, ratio_text(row.ratio.inverse))
