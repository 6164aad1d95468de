"""A network's graph from its modules, where all of them are known.

The exporter traces the whole network, decomposes it and translates what comes of that: a hundred
times the 0.06 s that this takes.

The network's own forward, walked by torch.fx, says how its modules are joined: there is no second
definition of any network. What is unknown is `Unknown`, and torch.onnx has the network then.
"""

from __future__ import annotations

from simam_deploy.source.direct.extents import Unknown
from simam_deploy.source.direct.sites import maps_of_sites
from simam_deploy.source.direct.walk import graph_of_modules

__all__ = ["Unknown", "graph_of_modules", "maps_of_sites"]
