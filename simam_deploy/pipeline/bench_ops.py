"""The operator alone, in every way that is there, against a copy."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from simam_deploy.bench.interrupt import stoppable
from simam_deploy.bench.machine import circumstances
from simam_deploy.bench.operator import OpsPlan, measure_operator
from simam_deploy.bench.records import OpRow, OpsReport
from simam_deploy.bench.table import Table
from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import shape_text
from simam_deploy.runtime.onnx_runner import require_onnxruntime

COLUMNS = (
    "shape",
    "precision",
    "way",
    "taken_ms",
    "copy_ms",
    "times_a_copy",
    "low",
    "high",
    "reason",
)


def bench_operator(
    plan: OpsPlan,
    *,
    table: str | os.PathLike[str] | None = None,
    progress: Progress = lambda step: None,
) -> OpsReport:
    """Measure SimAM alone, by one thread of the CPU, against copies of the same maps.

    In the main thread, Ctrl-C and SIGTERM end it early; the report holds what was measured.

    Args:
        plan: What is measured.
        table: A .csv that rows are added to as they are known.
        progress: Told each step.

    Raises:
        InputError: ONNX Runtime is missing, the table cannot be written, or a process ended.
    """
    started = time.perf_counter()
    require_onnxruntime()
    found = circumstances(threads=1)
    written = None if table is None else Table(Path(table), COLUMNS, found)
    rows: list[OpRow] = []
    with stoppable() as stop:
        for measured in measure_operator(plan, progress):
            rows += measured
            if written is not None:
                written.add(_cells(measured))
    return OpsReport(
        circumstances=found,
        rows=tuple(rows),
        starts=plan.starts,
        rounds=plan.rounds,
        interrupted=stop.asked,
        seconds=time.perf_counter() - started,
    )


def _cells(rows: Sequence[OpRow]) -> Iterator[dict[str, Any]]:
    for row in rows:
        named = {"shape": shape_text(row.shape), "precision": row.precision, "way": row.way}
        if row.ratio is None:
            yield {**named, "reason": row.reason}
            continue
        ends = row.ratio.inverse
        yield {
            **named,
            "taken_ms": f"{row.taken_ms:.4g}",
            "copy_ms": f"{row.copy_ms:.4g}",
            "times_a_copy": f"{ends.value:.4g}",
            "low": "" if ends.low is None else f"{ends.low:.4g}",
            "high": "" if ends.high is None else f"{ends.high:.4g}",
        }
