"""The same backbones with every attention: exported, counted as plans, measured side by side."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simam_deploy.bench.asked import Asked
from simam_deploy.bench.assemble import ratios_of
from simam_deploy.bench.attention import AttentionReport, AttentionRow
from simam_deploy.bench.basis import find_basis
from simam_deploy.bench.interrupt import stoppable
from simam_deploy.bench.machine import circumstances
from simam_deploy.bench.options import BenchOptions
from simam_deploy.bench.records import BatchRow, Ratio
from simam_deploy.bench.rounds import Figures, Schedule
from simam_deploy.bench.run import Run
from simam_deploy.bench.table import Table
from simam_deploy.core.progress import Progress
from simam_deploy.errors import SimamError, UsageError
from simam_deploy.models.attention.kinds import KINDS, AttentionName
from simam_deploy.models.zoo import Network, find_network
from simam_deploy.pipeline.export import export_onnx
from simam_deploy.pipeline.launches import count_launches
from simam_deploy.runtime.onnx_runner import require_onnxruntime
from simam_deploy.source.options import NetworkOptions, SampleOptions

BACKBONES = ("resnet18", "resnet50", "mobilenet_v2", "cifar_preresnet56")
COLUMNS = (
    "backbone", "attention", "parameters", "added", "gflops", "export", "size_mb", "launches",
    "peak_mb", "batch", "p50_ms", "processor_ms", "clock", "times_as_fast", "low", "high",
    "times_simam", "simam_low", "simam_high", "note",
)  # fmt: skip

_UNPROVED = "the export agrees, and is not proved: with drawn weights some faults would not show"


@dataclass(frozen=True)
class AttentionPlan:
    """What is compared.

    Attributes:
        backbones: Names in `NETWORKS`.
        attentions: What their blocks have; each backbone is measured without any beside them.
        batches: Rows of a run.
        starts: Of a process for each file.
        rounds: At each batch, over all starts.
    """

    backbones: Sequence[str] = BACKBONES
    attentions: Sequence[AttentionName] = tuple(KINDS)
    batches: Sequence[int] = (1, 8)
    starts: int = BenchOptions.starts
    rounds: int = BenchOptions.rounds


def bench_attention(
    plan: AttentionPlan,
    *,
    table: str | os.PathLike[str] | None = None,
    progress: Progress = lambda step: None,
) -> AttentionReport:
    """Measure backbones with every attention in ONNX Runtime on the CPU, by one thread.

    Weights are drawn: they change no time. Each is exported with its proof, and where TensorRT-RTX
    is there, its plan's launches are counted. In the main thread, Ctrl-C and SIGTERM end it early;
    the report then holds what was known by then.

    Args:
        plan: What is compared.
        table: A .csv that each backbone's rows are added to when it is done.
        progress: Told each step.

    Raises:
        InputError: ONNX Runtime is missing, or the table cannot be written.
        UsageError: There is no network of a name, or it has SimAM alone.
    """
    started = time.perf_counter()
    require_onnxruntime()
    compared = [_Compared(_comparable(name), plan) for name in plan.backbones]
    found = circumstances(threads=1)
    written = None if table is None else Table(Path(table), COLUMNS, found)
    with stoppable() as stop:
        for each in compared:
            each.measure(progress)
            if written is not None:
                written.add(_cells(each.rows()))
    if stop.asked and written is not None:
        written.add(_cells([row for each in compared if not each.done for row in each.rows()]))
    return AttentionReport(
        circumstances=found,
        rows=tuple(row for each in compared for row in each.rows()),
        starts=plan.starts,
        rounds=plan.rounds,
        interrupted=stop.asked,
        seconds=time.perf_counter() - started,
    )


def _comparable(name: str) -> Network:
    network = find_network(name)
    if network.attentions == ("simam",):
        raise UsageError(f"{name} is known with SimAM alone: there is nothing beside it")
    return network


class _Compared:
    """One backbone with every attention: what is known of it, whenever its measuring ends.

    Args:
        network: The backbone.
        plan: What it is compared by.
    """

    def __init__(self, network: Network, plan: AttentionPlan) -> None:
        names: list[AttentionName] = ["none", *(n for n in plan.attentions if n != "none")]
        self.done = False
        self._variants = [replace(network, attention=name) for name in names]
        self._plan = plan
        self._made: list[tuple[AttentionRow, Path | None]] = []
        self._run: Run | None = None

    def measure(self, progress: Progress) -> None:
        """Make every variant, that without attention first, and let them take turns."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for variant in self._variants:
                self._made.append(_made(variant, folder, progress))
            files = [(row.attention, file) for row, file in self._made if file is not None]
            if files:
                self._run = _run_of(files, self._plan, folder, progress)
                self._run.measure(lambda start, batch: None)
        self.done = True

    def rows(self) -> tuple[AttentionRow, ...]:
        """Sum up what is known."""
        measured = {} if self._run is None else dict(_measured(self._run, self._plan.batches))
        return tuple(
            replace(
                row,
                added=row.parameters - self._made[0][0].parameters,
                **measured.get(row.attention, {}),
            )
            for row, _ in self._made
        )


def _made(network: Network, folder: Path, progress: Progress) -> tuple[AttentionRow, Path | None]:
    """Export a variant with drawn weights, and count its plan's launches."""
    import torch

    from simam_deploy.models.cost import cost_of
    from simam_deploy.models.create import create

    progress(f"exporting {network.title}")
    cost = cost_of(network)
    row = AttentionRow(network.name, network.attention, cost.parameters, 0, cost.flops, export="ok")
    checkpoint = folder / f"{network.attention}.pth"
    torch.manual_seed(0)
    torch.save(create(network).state_dict(), checkpoint)
    said = NetworkOptions(attention=network.attention)
    try:
        artifact = export_onnx(checkpoint, checkpoint.with_suffix(".onnx"), network=said)
    except SimamError as error:
        return replace(row, export=str(error)), None
    finally:
        checkpoint.unlink()
    unproved = () if artifact.validation.proved else (_UNPROVED,)
    launches, notes = count_launches(artifact.path, f"of {network.title}", progress)
    made = replace(row, size=artifact.size, launches=launches, notes=(*unproved, *notes))
    return made, artifact.path


def _run_of(
    files: Sequence[tuple[AttentionName, Path]],
    plan: AttentionPlan,
    folder: Path,
    progress: Progress,
) -> Run:
    """Prepare the files' turns; each is called by its attention."""
    options = BenchOptions(tuple(plan.batches), 1, plan.starts, plan.rounds, providers=("cpu",))
    asked = [Asked(file, "cpu", attention, threads=1) for attention, file in files]
    basis = find_basis(asked, NetworkOptions(), SampleOptions(), options)
    schedule = Schedule(tuple(plan.batches), plan.starts, plan.rounds)
    return Run(asked, basis, schedule, folder, progress)


def _measured(run: Run, batches: Sequence[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give what is known of each attention's file so far."""
    simam = next((f for f in run.figures if f.asked.name == "simam"), None)
    for row, figures in zip(run.rows(), run.figures, strict=True):
        to_simam = _to_simam(figures, simam, batches)
        known = {"peak_memory": row.peak_memory, "batches": row.batches, "to_simam": to_simam}
        yield row.name, known


def _to_simam(figures: Figures, simam: Figures | None, batches: Sequence[int]) -> tuple[Any, ...]:
    """Give the ratio to SimAM's time at each batch, by the clock to be read."""
    if simam is None:
        return ()
    ratios = ((batch, next(ratios_of(figures, simam, batch), None)) for batch in batches)
    return tuple((batch, ratio) for batch, ratio in ratios if ratio is not None)


def _cells(rows: Sequence[AttentionRow]) -> Iterator[dict[str, Any]]:
    """Give the rows of the table: one a batch, or one without times."""
    for row in rows:
        known = _known_cells(row)
        to_simam = dict(row.to_simam)
        for each in row.batches:
            yield {**known, **_batch_cells(each, to_simam.get(each.batch))}
        if not row.batches:
            yield known


def _known_cells(row: AttentionRow) -> dict[str, Any]:
    return {
        "backbone": row.backbone,
        "attention": row.attention,
        "parameters": row.parameters,
        "added": row.added,
        "gflops": f"{row.flops / 1e9:.4g}",
        "export": row.export,
        "size_mb": "" if row.size is None else f"{row.size / 1e6:.4g}",
        "launches": "" if row.launches is None else row.launches,
        "peak_mb": "" if row.peak_memory is None else f"{row.peak_memory / 1e6:.4g}",
        "note": "; ".join(row.notes),
    }


def _batch_cells(row: BatchRow, to_simam: Ratio | None) -> dict[str, Any]:
    times = row.times
    return {
        "batch": row.batch,
        "p50_ms": f"{times.p50_ms:.4g}" if times else "",
        "processor_ms": f"{times.processor_ms:.4g}" if times and times.processor_ms else "",
        "clock": row.ratio.clock if row.ratio else "",
        **_ends(row.ratio, "times_as_fast", "low", "high"),
        **_ends(to_simam, "times_simam", "simam_low", "simam_high"),
    }


def _ends(ratio: Ratio | None, *names: str) -> dict[str, str]:
    """Word a ratio and its interval for three columns."""
    values = (None,) * 3 if ratio is None else (ratio.value, ratio.low, ratio.high)
    return {n: "" if v is None else f"{v:.4g}" for n, v in zip(names, values, strict=True)}
