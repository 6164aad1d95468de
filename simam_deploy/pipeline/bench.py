"""Models side by side: measured, and held against a reference, in this order."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from simam_deploy.bench.basis import find_basis
from simam_deploy.bench.interrupt import stoppable
from simam_deploy.bench.machine import circumstances
from simam_deploy.bench.options import BenchOptions
from simam_deploy.bench.records import BenchReport
from simam_deploy.bench.rounds import Schedule
from simam_deploy.bench.rows import BenchTable
from simam_deploy.bench.run import Run
from simam_deploy.bench.subjects import subjects_of
from simam_deploy.core.progress import Progress
from simam_deploy.source.options import NetworkOptions, SampleOptions


def bench_models(
    files: Sequence[str | os.PathLike[str]],
    network: NetworkOptions | None = None,
    samples: SampleOptions | None = None,
    options: BenchOptions | None = None,
    *,
    table: str | os.PathLike[str] | None = None,
    finish: Callable[[BenchReport], BenchReport] = lambda report: report,
    progress: Progress = lambda step: None,
) -> BenchReport:
    """Measure models side by side: time, memory, cold start, and agreement beside them.

    Each is run in processes of its own, which take turns; ratios are to the first. A model that
    cannot be measured is a row that says why, and the others are measured all the same. In the
    main thread, Ctrl-C and SIGTERM end the measuring early; the report then holds what was
    measured.

    Args:
        files: Sources that PyTorch runs, .onnx files and plans.
        network: What is said of the sources.
        samples: Samples to measure accuracy on; the first of them are what is timed.
        options: How they are measured.
        table: A .csv that figures are added to as they are taken.
        finish: Adds to the report what else is known.
        progress: Told each step.

    Returns:
        The report, whatever it says.

    Raises:
        InputError: No file can be used, or the table not be written.
        UsageError: The options contradict each other or a source.
    """
    started = time.perf_counter()
    network, samples = network or NetworkOptions(), samples or SampleOptions()
    options = options or BenchOptions()
    subjects = subjects_of(files, network, options)
    found = circumstances(options.threads)
    schedule = Schedule(tuple(options.batches), options.starts, options.rounds, options.seconds)
    progress("reading the models")
    basis = find_basis(subjects, network, samples, options)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(subjects, basis, schedule, Path(folder), progress)
        rows = None if table is None else BenchTable(Path(table), found, run.figures)
        with stoppable() as stop:
            run.measure(rows.add_start if rows else lambda start, batch: None)
            if options.roofline:
                run.measure_rooflines()
    measured = BenchReport(
        circumstances=found,
        reference=basis.reference.name if basis.reference else None,
        subjects=run.rows(),
        rooflines=tuple(run.rooflines),
        starts=schedule.starts,
        rounds=run.rounds,
        notes=basis.notes,
        interrupted=stop.asked,
        seconds=time.perf_counter() - started,
    )
    report = finish(measured)
    if rows is not None:
        rows.add_report(report)
    return report
