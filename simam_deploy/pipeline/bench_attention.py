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
    the report then holds the backbones that were done.

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
    networks = [_comparable(name) for name in plan.backbones]
    found = circumstances(threads=1)
    written = None if table is None else Table(Path(table), COLUMNS, found)
    rows: list[AttentionRow] = []
    with stoppable() as stop:
        for network in networks:
            done = tuple(_backbone(network, plan, progress))
            rows += done
            if written is not None:
                written.add(cells for row in done for cells in _cells(row))
    return AttentionReport(
        circumstances=found,
        rows=tuple(rows),
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


def _backbone(network: Network, plan: AttentionPlan, progress: Progress) -> Iterator[AttentionRow]:
    """Make and measure every variant of a backbone, that without attention first."""
    names: list[AttentionName] = ["none", *(name for name in plan.attentions if name != "none")]
    variants = [replace(network, attention=name) for name in names]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = [_made(variant, folder, progress) for variant in variants]
        files = [(row.attention, file) for row, file in made if file is not None]
        measured = _measured(files, plan, folder, progress) if files else {}
    plain = made[0][0].parameters
    for row, _ in made:
        yield replace(row, added=row.parameters - plain, **measured.get(row.attention, {}))


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
    launches, notes = count_launches(artifact.path, f"of {network.title}", progress)
    return replace(row, size=artifact.size, launches=launches, notes=notes), artifact.path


def _measured(
    files: Sequence[tuple[AttentionName, Path]],
    plan: AttentionPlan,
    folder: Path,
    progress: Progress,
) -> dict[AttentionName, dict[str, Any]]:
    """Let the files take turns: what is measured of each, by its attention."""
    options = BenchOptions(tuple(plan.batches), 1, plan.starts, plan.rounds, providers=("cpu",))
    asked = [Asked(file, "cpu", attention, threads=1) for attention, file in files]
    basis = find_basis(asked, NetworkOptions(), SampleOptions(), options)
    schedule = Schedule(tuple(plan.batches), plan.starts, plan.rounds)
    run = Run(asked, basis, schedule, folder, progress)
    run.measure(lambda start, batch: None)
    simam = next((f for f in run.figures if f.asked.name == "simam"), None)
    return {
        attention: {
            "peak_memory": row.peak_memory,
            "batches": row.batches,
            "to_simam": _to_simam(figures, simam, plan.batches),
        }
        for (attention, _), row, figures in zip(files, run.rows(), run.figures, strict=True)
    }


def _to_simam(figures: Figures, simam: Figures | None, batches: Sequence[int]) -> tuple[Any, ...]:
    """Give the ratio to SimAM's time at each batch, by the clock to be read."""
    if simam is None:
        return ()
    ratios = ((batch, next(ratios_of(figures, simam, batch), None)) for batch in batches)
    return tuple((batch, ratio) for batch, ratio in ratios if ratio is not None)


def _cells(row: AttentionRow) -> Iterator[dict[str, Any]]:
    """Give the rows of the table: one a batch, or one without times."""
    known = {
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
    to_simam = dict(row.to_simam)
    for each in row.batches:
        times, ratio, ours = each.times, each.ratio, to_simam.get(each.batch)
        yield {
            **known,
            "batch": each.batch,
            "p50_ms": f"{times.p50_ms:.4g}" if times else "",
            "processor_ms": f"{times.processor_ms:.4g}" if times and times.processor_ms else "",
            "clock": ratio.clock if ratio else "",
            **_ends(ratio, "times_as_fast", "low", "high"),
            **_ends(ours, "times_simam", "simam_low", "simam_high"),
        }
    if not row.batches:
        yield known


def _ends(ratio: Any, *names: str) -> dict[str, str]:
    """Word a ratio and its interval for three columns."""
    values = (None,) * 3 if ratio is None else (ratio.value, ratio.low, ratio.high)
    return {n: "" if v is None else f"{v:.4g}" for n, v in zip(names, values, strict=True)}
