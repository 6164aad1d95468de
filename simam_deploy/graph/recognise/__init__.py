"""Recognise SimAM in any ONNX graph, and prove it.

`find` reads the graph at several `sizes`. Each reading learns the shapes and the small values
(`facts`), reads what every value is in terms of a feature map (`operators`, by the rules of
`terms`, `blends`, `moments`, `expansions` and `gates`), and holds each gate it meets against the
contract (`judge`), over the planes that its map has (`planes`). `extent` tells what of the graph a
site is made of, `rewrite` makes it one node.
"""

from simam_deploy.graph.recognise.find import recognise
from simam_deploy.graph.recognise.findings import Findings, NearMiss, Site
from simam_deploy.graph.recognise.rewrite import to_nodes

__all__ = ["Findings", "NearMiss", "Site", "recognise", "to_nodes"]
