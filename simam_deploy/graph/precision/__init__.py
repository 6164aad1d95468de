"""Low precision as a property of the graph: convert it, audit its ranges, show its rounding."""

from simam_deploy.graph.precision.audit import audit, measure
from simam_deploy.graph.precision.cost import round_layers
from simam_deploy.graph.precision.half import Halved, half_nodes, to_half
from simam_deploy.graph.precision.islands import cut_islands, tap_sites
from simam_deploy.graph.precision.layers import cut_layers, majorise, tap_layers
from simam_deploy.graph.precision.rounding import rounded
from simam_deploy.graph.precision.typed import typed

__all__ = [
    "Halved",
    "audit",
    "cut_islands",
    "cut_layers",
    "half_nodes",
    "majorise",
    "measure",
    "round_layers",
    "rounded",
    "tap_layers",
    "tap_sites",
    "to_half",
    "typed",
]
