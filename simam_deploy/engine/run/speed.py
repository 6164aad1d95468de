"""Choose the faster of two plans."""

from __future__ import annotations

import statistics

from simam_deploy.core.artifacts import EngineArtifact
from simam_deploy.errors import EngineError

_TIMED = 50
"""Runs whose median is compared."""


def compare_speed(
    with_plugin: EngineArtifact, without: EngineArtifact
) -> tuple[EngineArtifact, str]:
    """Choose between a plan with the plugin and one without, and say why.

    By time on the GPU where there is one; else by launches, which stand for passes over memory.
    """
    try:
        times = [_milliseconds(artifact) for artifact in (with_plugin, without)]
        better = with_plugin if times[0] < times[1] else without
        figures = f"{times[0]:.3f} ms with it, {times[1]:.3f} ms without"
    except EngineError:
        better, figures = _fewer_launches(with_plugin, without)
    return better, f"plugin {'kept' if better is with_plugin else 'left out'}: {figures}"


def _fewer_launches(
    with_plugin: EngineArtifact, without: EngineArtifact
) -> tuple[EngineArtifact, str]:
    ours, bare = with_plugin.audit.launches, without.audit.launches
    if ours is None or bare is None:
        return without, "neither times nor launches are known without a GPU"
    better = with_plugin if ours < bare else without
    return better, f"{ours} launches with it, {bare} without, and no GPU to time them"


def _milliseconds(artifact: EngineArtifact) -> float:
    """Time a plan at the best shapes of its first profile.

    Raises:
        EngineError: There is no GPU.
    """
    from simam_deploy.engine.run.runner import TensorRTRunner

    with TensorRTRunner(artifact.path, trust=True) as runner:
        best = {r.name: r.opt for r in runner.profiles[0]}
        return statistics.median(runner.latencies(best, _TIMED))
