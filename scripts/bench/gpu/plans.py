"""A network's plans in every form of SimAM: outputs, and latencies side by side.

    error          the worst difference from ONNX Runtime on the CPU, over the largest value
    ms_50 ...      percentiles of a run by the device's events, without copies from the host, at
                   this batch, with and without a CUDA graph; the forms take turns
    over_portable  ms_50 over that of `portable` in the same run

A form that is not taken leaves a row that says why. Where the library's default plan is not taken
by this GPU, one for the GPU itself is tried.
"""

from __future__ import annotations

import contextlib
import itertools
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu.files import (
    DOUBLE,
    ROW,
    TARGETS,
    WHOLE,
    File,
    files_of,
    flavours,
    forms_of,
    missing_flavours,
    onnx_of,
    plan_of,
)
from gpu.held import judged, reference
from gpu.part import said_of
from gpu.setting import Setting
from gpu.table import Cell, Row
from simam_deploy.engine.plan.manifest import read_manifest
from simam_deploy.engine.run.runner import TensorRTRunner
from simam_deploy.errors import SimamError
from simam_deploy.runtime.onnx_runner import OnnxRunner

BATCHES = (1, 8)
ROUNDS, RUNS = 10, 30
PERCENTILES = (50, 90, 99)
DRY_FILES = (File(DOUBLE), File(ROW))
"""What the tests' TensorRT computes, and what TensorRT-RTX builds, which runs on a GPU alone."""


@dataclass(frozen=True)
class Plan:
    """A plan that this GPU took: what it is, and a runner by whether it uses a CUDA graph."""

    form: str
    targets: str
    facts: Mapping[str, object]
    runners: Mapping[bool, TensorRTRunner]


def missing(setting: Setting) -> str:
    """Ask for a library."""
    return missing_flavours()


def cells(setting: Setting) -> Iterable[Cell]:
    """Give network, precision, what is quantised, and library."""
    files = DRY_FILES if setting.dry else files_of(setting.of) if setting.of in WHOLE else ()
    for file, flavour in itertools.product(files, flavours()):
        if not setting.dry or (file.network == DOUBLE) == (flavour == "tensorrt"):
            yield file.network, file.precision, file.quantize, flavour


def measure(cell: Cell, setting: Setting) -> Iterator[Row]:
    """Open every form's plan, and time them in turns."""
    *named, flavour = cell
    file = File(*named)
    if file.network == ROW:
        yield from built_alone(file, flavour, setting)
        return
    shapes = shapes_of(file, setting)
    truth = reference(onnx_of(file, setting), shapes)
    forms = ("portable",) if file.network == DOUBLE else forms_of(flavour)
    with contextlib.ExitStack() as opened:
        plans = []
        for form in forms:
            try:
                plans.append(opened_plan(file, flavour, form, setting, opened))
            except SimamError as error:
                yield {"form": form, "why": said_of(error)}
        for index, shape in enumerate(shapes):
            times = timed(plans, shape, setting)
            # Behind the timing, in which graphs were captured: it is their outputs that are held.
            errors = {key: truth.error(plans[key[0]].runners[key[1]], index) for key in times}
            yield from told(plans, file, shape, times, errors)


def shapes_of(file: File, setting: Setting) -> list[dict[str, tuple[int, ...]]]:
    """Give the input's shape at each of `BATCHES`; a fixed batch is one of its own."""
    with OnnxRunner(onnx_of(file, setting)) as runner:
        (spec,) = runner.inputs
    first, *rest = spec.shape
    sides = tuple(int(size) for size in rest)
    return [{spec.name: (n, *sides)} for n in (BATCHES if isinstance(first, str) else (first,))]


def opened_plan(
    file: File, flavour: str, form: str, setting: Setting, opened: contextlib.ExitStack
) -> Plan:
    """Open the first plan that this GPU takes, of `TARGETS`.

    Raises:
        SimamError: It takes none; what is said of the first.
    """
    first: SimamError | None = None
    for targets in TARGETS:
        try:
            path = plan_of(file, flavour, form, setting, targets)
            runners = {
                graph: opened.enter_context(TensorRTRunner(path, trust=True, cuda_graph=graph))
                for graph in (True, False)
            }
        except SimamError as error:
            first = first or error
            continue
        return Plan(form, " ".join(targets) or "default", known_of(path), runners)
    assert first is not None
    raise first


def known_of(path: Path) -> dict[str, object]:
    """Give what a plan tells without being run."""
    launches = read_manifest(path)["audit"]["launches"]
    return {"launches": launches, "megabytes": round(path.stat().st_size / 1e6, 1)}


def built_alone(file: File, flavour: str, setting: Setting) -> Iterator[Row]:
    """Build every form of a plan that nothing here can run."""
    for form in forms_of(flavour):
        path = plan_of(file, flavour, form, setting)
        yield {"form": form, "targets": "default", **known_of(path)}


def timed(
    plans: Sequence[Plan], shape: Mapping[str, tuple[int, ...]], setting: Setting
) -> dict[tuple[int, bool], list[float]]:
    """Time plans at a shape in turns, by place and by whether a CUDA graph is used."""
    rounds, runs = (2, 2) if setting.dry else (ROUNDS, RUNS)
    keys = [(index, graph) for index in range(len(plans)) for graph in (True, False)]
    times: dict[tuple[int, bool], list[float]] = {key: [] for key in keys}
    for index, graph in keys * rounds:
        times[index, graph] += plans[index].runners[graph].latencies(shape, runs)
    return times


def told(
    plans: Sequence[Plan],
    file: File,
    shape: Mapping[str, tuple[int, ...]],
    times: Mapping[tuple[int, bool], Sequence[float]],
    errors: Mapping[tuple[int, bool], float],
) -> Iterator[Row]:
    """Give a row of each plan, with and without a CUDA graph."""
    for index, graph in times:
        base = times[0, graph] if plans[0].form == "portable" else None
        yield {
            "form": plans[index].form,
            "targets": plans[index].targets,
            **plans[index].facts,
            "batch": next(iter(shape.values()))[0],
            "cuda_graph": "on" if graph else "off",
            **percentiles(times[index, graph]),
            **over(times[index, graph], base),
            **judged(errors[index, graph], file.precision),
        }


def percentiles(times: Sequence[float]) -> dict[str, str]:
    """Give milliseconds at each of `PERCENTILES`."""
    cuts = statistics.quantiles(times, n=100)
    return {f"ms_{percent}": f"{cuts[percent - 1]:.4f}" for percent in PERCENTILES}


def over(times: Sequence[float], base: Sequence[float] | None) -> dict[str, str]:
    """Give the ratio of medians to `portable`'s."""
    if base is None:
        return {}
    return {"over_portable": f"{statistics.median(times) / statistics.median(base):.3f}"}
