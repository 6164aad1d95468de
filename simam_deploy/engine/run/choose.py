"""Choose among plans of one network: by time on the GPU, or by launches where there is none."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from simam_deploy.core.artifacts import EngineArtifact
from simam_deploy.errors import EngineError

_TIMED = 50
"""Runs whose median is compared."""


@dataclass(frozen=True)
class Figures:
    """What is known of one plan.

    Attributes:
        lowering: What SimAM became in it.
        launches: Of kernels, which stand for passes over memory; None where it does not tell.
        size: Bytes.
        milliseconds: Of a run at the shapes that its first profile is tuned for; None without a
            GPU.
    """

    lowering: str
    launches: int | None
    size: int
    milliseconds: float | None


def measure(plans: Sequence[EngineArtifact]) -> list[Figures]:
    """Take the figures of plans, in their order: times of all of them, or of none."""
    times: list[float | None]
    try:
        times = [_milliseconds(plan) for plan in plans]
    except EngineError:
        times = [None] * len(plans)
    return [
        Figures(plan.lowering, plan.audit.launches, plan.size, time)
        for plan, time in zip(plans, times, strict=True)
    ]


def best(figures: Sequence[Figures]) -> int:
    """Give the place of the plan to keep; of those that are alike, of the smallest, then the first.

    Where neither times nor launches are known of all, it is the first.
    """
    places = range(len(figures))
    times = [each.milliseconds for each in figures if each.milliseconds is not None]
    launches = [each.launches for each in figures if each.launches is not None]
    if len(times) == len(figures):
        return min(places, key=lambda i: (times[i], figures[i].size))
    if len(launches) == len(figures):
        return min(places, key=lambda i: (launches[i], figures[i].size))
    return 0


def verdict(figures: Sequence[Figures], kept: int) -> str:
    """Say which was kept, and the figures of all."""
    timed = figures[0].milliseconds is not None
    told = ", ".join(
        f"{each.lowering} {each.milliseconds:.3f} ms" if timed else _launches(each)
        for each in figures
    )
    return f"{figures[kept].lowering} kept: {told}{'' if timed else '; no GPU to time them'}"


def _launches(figures: Figures) -> str:
    known = "unknown" if figures.launches is None else str(figures.launches)
    return f"{figures.lowering} {known} launches"


def _milliseconds(artifact: EngineArtifact) -> float:
    """Time a plan.

    Raises:
        EngineError: There is no GPU.
    """
    from simam_deploy.engine.run.runner import TensorRTRunner

    with TensorRTRunner(artifact.path, trust=True) as runner:
        tuned = {r.name: r.opt for r in runner.profiles[0]}
        return statistics.median(runner.latencies(tuned, _TIMED))
