"""Run a graph and keep inner values: the map that each SimAM is given."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.errors import InputError
from simam_deploy.graph.file.typed import typed
from simam_deploy.precision.half.islands import tap_sites
from simam_deploy.precision.rounding import rounded
from simam_deploy.runtime.graph_runner import run_graph
from simam_deploy.runtime.protocol import Closing, Runner


@dataclass(frozen=True)
class SiteSample:
    """A site of the float32 network: its lambda and the map (N, C, H, W) that it was given."""

    name: str
    e_lambda: float
    x: Array


class SiteRecorder(Closing):
    """A model that gives the map of each SimAM instead of its outputs.

    Args:
        model: Plain ops, in float32 or with its half rounding shown; it is used up.

    Raises:
        InputError: There is no SimAM in it, or ONNX Runtime does not take it.
    """

    def __init__(self, model: ir.Model) -> None:
        model = typed(model)
        self.sites = tap_sites(model)
        if not self.sites:
            raise InputError("the model has no SimAM whose gate could be checked")
        self._runner = run_graph(rounded(model))
        self.inputs = self._runner.inputs

    def record(self, feeds: Feeds) -> tuple[SiteSample, ...]:
        """Run the model and keep what every site is given; `feeds` has an array per input."""
        maps = _run(self._runner, feeds)
        pairs = zip(self.sites, maps, strict=True)
        return tuple(SiteSample(site.name, site.e_lambda, x) for site, x in pairs)

    def close(self) -> None:
        """Free the model."""
        self._runner.close()


def record_sites(model: ir.Model, feeds: Feeds) -> tuple[SiteSample, ...]:
    """Record one set of feeds; see `SiteRecorder` for arguments and errors."""
    with SiteRecorder(model) as recorder:
        return recorder.record(feeds)


def _run(runner: Runner, feeds: Feeds) -> list[Array]:
    """Run a model; feeds that it has no input for are left out."""
    return list(runner.run({spec.name: feeds[spec.name] for spec in runner.inputs}).values())
