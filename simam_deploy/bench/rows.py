"""The rows that `simam-bench --csv` adds to a table: of each start, and in the end over all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from simam_deploy.bench.asked import ENGINE
from simam_deploy.bench.assemble import ratios_of, times_of
from simam_deploy.bench.records import (
    BatchRow,
    BenchReport,
    Circumstances,
    Ratio,
    SubjectRow,
    Times,
)
from simam_deploy.bench.rounds import Figures, first_of
from simam_deploy.bench.table import Table
from simam_deploy.verify.report import Accuracy, Detections

COLUMNS = (
    "subject", "how", "precision", "batch", "start", "runs", "p50_ms", "p90_ms", "p99_ms",
    "processor_ms", "rows_per_second", "clock", "times_as_fast", "low", "high", "cold_start_s",
    "cold_processor_s", "peak_mb", "size_mb", "worst", "allowed", "agrees", "accuracy",
    "launches", "reason",
)  # fmt: skip
ALL = "all"
"""In the column `start`: the row over all of them, with intervals."""
Row = dict[str, Any]


def start_rows(figures: Sequence[Figures], start: int, batch: int) -> Iterator[Row]:
    """Give what the last start took of each subject that ran in it."""
    first = first_of(figures)
    for each in figures:
        starts = each.starts.get(batch, [])
        if len(starts) <= start or not starts[start].wall:
            continue
        one = Figures(each.asked, starts={batch: [starts[start]]})
        base = Figures(first.asked, starts={batch: first.starts.get(batch, [])[start : start + 1]})
        found = next(iter(ratios_of(one, base, batch)), None) if each is not first else None
        yield {
            "subject": each.asked.name,
            "how": each.asked.how,
            "batch": batch,
            "start": start + 1,
            **_times(times_of([starts[start]], batch, each.asked.how == ENGINE)),
            **_ratio(found),
        }


def report_rows(report: BenchReport) -> Iterator[Row]:
    """Give a row a subject and batch, over all starts; of one that was not measured, the reason."""
    for subject in report.subjects:
        whole = {
            "subject": subject.name,
            "how": subject.how,
            "precision": subject.precision,
            "start": ALL,
            "cold_start_s": _rounded(subject.cold_start_s),
            "cold_processor_s": _rounded(subject.cold_start_processor_s),
            "peak_mb": _mega(subject.peak_memory),
            "size_mb": _mega(subject.size),
            "accuracy": accuracy_of(subject),
            "launches": "" if subject.launches is None else subject.launches,
            "reason": subject.reason,
        }
        yield from ({**whole, **_batch(row)} for row in subject.batches)


def _batch(row: BatchRow) -> Row:
    found = row.agreement
    held = {} if found is None else {
        "worst": "" if found.worst is None else f"{found.worst:.1e}",
        "allowed": "" if found.allowed is None else f"{found.allowed:.1e}",
        "agrees": found.passed,
    }  # fmt: skip
    reason = {"reason": row.reason} if row.reason else {}
    return {"batch": row.batch, **_times(row.times), **_ratio(row.ratio), **held, **reason}


def _times(times: Times | None) -> Row:
    if times is None:
        return {}
    return {
        "runs": times.runs,
        "p50_ms": _rounded(times.p50_ms),
        "p90_ms": _rounded(times.p90_ms),
        "p99_ms": _rounded(times.p99_ms),
        "processor_ms": _rounded(times.processor_ms),
        "rows_per_second": _rounded(times.rows_per_second),
    }


def _ratio(ratio: Ratio | None) -> Row:
    if ratio is None:
        return {}
    ends = {"low": _rounded(ratio.low), "high": _rounded(ratio.high)}
    return {"clock": ratio.clock, "times_as_fast": _rounded(ratio.value), **ends}


def accuracy_of(subject: SubjectRow) -> str:
    """Word top-1, or mean average precision; without labels, agreement with the reference."""
    found = subject.accuracy
    if found is None:
        return ""
    if isinstance(found, Accuracy):
        scores = found.candidate
        return f"{found.agreement:.4f} agree" if scores is None else f"top-1 {scores.top1:.4f}"
    return _detected(found)


def _detected(found: Detections) -> str:
    own = found.candidate
    return f"{found.agreement:.4f} agree" if own is None else f"mAP {own.map:.4f}"


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _mega(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.4g}"


class BenchTable:
    """A .csv that grows while models are measured.

    Args:
        path: The file.
        circumstances: Of every row.
        figures: Of all subjects, as far as they are known.
    """

    def __init__(
        self, path: Path, circumstances: Circumstances, figures: Sequence[Figures]
    ) -> None:
        self._table = Table(path, COLUMNS, circumstances)
        self._figures = figures

    def add_start(self, start: int, batch: int) -> None:
        """Add what a start took at a batch."""
        self._table.add(start_rows(self._figures, start, batch))

    def add_report(self, report: BenchReport) -> None:
        """Add what came of all."""
        self._table.add(report_rows(report))
