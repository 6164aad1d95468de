"""The maps that reach SimAM, by closed formulas of the input's size: no run is wanted."""

from __future__ import annotations

from collections.abc import Callable, Collection

from torch import nn

from simam_deploy.core.specs import TensorSpec
from simam_deploy.graph.sites import dims, simam_nodes
from simam_deploy.source.direct.extents import size_at
from simam_deploy.source.direct.walk import graph_of_modules

Maps = Callable[[tuple[int, ...]], dict[str, tuple[int, ...]]]


def maps_of_sites(network: nn.Module, spec: TensorSpec, free: Collection[int]) -> Maps:
    """Make what tells the shapes of the maps at every SimAM.

    Args:
        network: In eval mode.
        spec: Its input.
        free: Axes of it that may change, besides the batch.

    Returns:
        Of an input's shape: module name -> (N, C, H, W), in forward order.

    Raises:
        Unknown: A step of the network is not known, or what it makes of a free size.
    """
    names = {axis: f"axis{axis}" for axis in (0, *free)}
    shape = tuple(names.get(axis, size) for axis, size in enumerate(spec.shape))
    graph = graph_of_modules(network, TensorSpec(spec.name, spec.dtype, shape), None, 0)
    seen = {node.name or "": dims(node.inputs[0]) for node in simam_nodes(graph)}

    def maps(given: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        sizes = {name: given[axis] for axis, name in names.items()}
        return {site: tuple(size_at(size, sizes) for size in shape) for site, shape in seen.items()}

    return maps
