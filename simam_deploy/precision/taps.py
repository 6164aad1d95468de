"""Look inside a graph: run it for values that lie between its inputs and its outputs.

The one way to do so. What is wanted are values of the graph, chosen by whoever asks: the maps that
SimAM sites or layers are given, tensors that are to be quantised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.errors import InputError
from simam_deploy.graph.file.typed import with_types
from simam_deploy.graph.recognise import Site, recognise
from simam_deploy.op.contract import simam_gate
from simam_deploy.precision.rounding import rounded
from simam_deploy.runtime.graph_runner import run_graph
from simam_deploy.runtime.protocol import Closing


class Taps(Closing):
    """A model that gives inner values instead of its outputs, its half rounding written out.

    Args:
        model: Its types known, as behind `with_types`; it is used up.
        values: Of its main graph, each once.
        threads: As for `OnnxRunner`.

    Raises:
        InputError: ONNX Runtime does not take it.
    """

    def __init__(
        self, model: ir.Model, values: Sequence[ir.Value], threads: int | None = None
    ) -> None:
        graph = model.graph
        graph.outputs[:] = [copied(graph, value, f"tap/{i}") for i, value in enumerate(values)]
        RemoveUnusedNodesPass()(model)
        self._runner = run_graph(rounded(model), threads=threads)
        self.inputs = self._runner.inputs

    def read(self, feeds: Feeds) -> list[Array]:
        """Give the values for one set of feeds, in order; feeds that they do not need may be in.

        Raises:
            InputError: The model does not run on these.
        """
        taken = {s.name: np.asarray(feeds[s.name], s.dtype) for s in self.inputs}
        return list(self._runner.run(taken).values())

    def close(self) -> None:
        """Free the model."""
        self._runner.close()


def copied(graph: ir.Graph, value: ir.Value, name: str) -> ir.Value:
    """Put a copy of a value, under a name of its own, at a graph's end."""
    node = ir.node("Identity", [value], name=name)
    graph.append(node)
    copy = node.outputs[0]
    copy.name, copy.shape, copy.type = name, value.shape, value.type
    return copy


def sites_of(model: ir.Model) -> tuple[Site, ...]:
    """List a graph's SimAM sites that apply their gate to a map (N, C, H, W), in order."""
    return tuple(site for site in recognise(model).sites if site.is_as_contract)


@dataclass(frozen=True)
class SiteSample:
    """A site of the float32 network: its lambda and the map (N, C, H, W) that it was given."""

    name: str
    e_lambda: float
    x: Array

    def attention(self) -> npt.NDArray[np.float64]:
        """Compute the first sample's gates, averaged over the channels: (H, W), 0.6225 to 1."""
        gates: npt.NDArray[np.float64] = simam_gate(self.x[:1], self.e_lambda)[0].mean(0)
        return gates


class SiteRecorder(Closing):
    """A model that gives the map of each SimAM instead of its outputs.

    Args:
        model: Plain ops; it is used up.
        threads: As for `OnnxRunner`.

    Raises:
        InputError: There is no SimAM in it, or ONNX Runtime does not take it.
    """

    def __init__(self, model: ir.Model, threads: int | None = None) -> None:
        model = with_types(model)
        self._sites = sites_of(model)
        if not self._sites:
            raise InputError("there is no SimAM in the model")
        maps = list(dict.fromkeys(site.x for site in self._sites))
        self._number = [maps.index(site.x) for site in self._sites]
        self._taps = Taps(model, maps, threads)
        self.inputs = self._taps.inputs

    def record(self, feeds: Feeds) -> tuple[SiteSample, ...]:
        """Run the model and keep what every site is given; `feeds` has an array per input."""
        maps = self._taps.read(feeds)
        pairs = zip(self._sites, self._number, strict=True)
        return tuple(SiteSample(site.name, site.e_lambda, maps[i]) for site, i in pairs)

    def close(self) -> None:
        """Free the model."""
        self._taps.close()


def record_sites(model: ir.Model, feeds: Feeds) -> tuple[SiteSample, ...]:
    """Record one set of feeds; see `SiteRecorder` for arguments and errors."""
    with SiteRecorder(model) as recorder:
        return recorder.record(feeds)
