"""What each layer costs in launches when it alone is in eight bits, beside the rule of `paying`.

Plans are built by TensorRT-RTX for sm89 without a GPU, at batch 1, SimAM as `wide`, of drawn
weights; "yolo" is the example's detector.

    layer   a convolution that can be quantised
    scales  of its weights: one for each channel, or one for the tensor
    more    launches over those of the float32 plan
    rule    what the rule makes of it among all: channel, tensor, or nothing where it does not pay

A run that is stopped goes on where it was.

    python scripts/bench/paying.py [--csv FILE]
"""

from __future__ import annotations

import argparse
import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx_ir as ir
from engines import YOLO_SHAPE, launches, traced_of, traced_yolo
from tables import FACTS, appended, facts, stand_in

from simam_deploy.graph.detect import STANDARD
from simam_deploy.graph.passes.tidy import tidy
from simam_deploy.graph.prepare import for_engine
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.precision.int8.formats import FORMATS
from simam_deploy.precision.int8.pairs import insert_pairs
from simam_deploy.precision.int8.paying import paying
from simam_deploy.precision.int8.placement import Choice, name_of, place

ASKED = ("network", "precision", "scales", "layer")
COLUMNS = (*FACTS, *ASKED, "more", "rule")
RESULTS = Path(__file__).parent / "results" / "paying.csv"
WHOLE = ("yolo", "resnet18", "resnet50", "mobilenet_v2")
OPSET = 19
Asked = tuple[str, ...]


@functools.lru_cache(maxsize=1)
def float32(network: str) -> ir.Model:
    """Give a network in plain ops; it is shared."""
    if network == "yolo":
        graph = traced_yolo((1, *YOLO_SHAPE), OPSET)
    else:
        graph = traced_of(network, (1, *NETWORKS[network].family.input_shape), OPSET)
    for_engine(graph, "wide", STANDARD, plugin=False)
    tidy(graph)
    return graph


@functools.lru_cache(maxsize=1)
def before(network: str) -> int:
    """Count the launches of nothing quantised."""
    return launches(float32(network).clone())


@functools.lru_cache(maxsize=2)
def rule(network: str, precision: str) -> dict[str, str]:
    """Name what pays, by layer."""
    graph = float32(network)
    found = paying(graph.graph, place(graph).layers, FORMATS[precision].folds_add)
    return {name_of(layer): "tensor" if alone else "channel" for layer, alone in found.items()}


def all_asked() -> Iterator[Asked]:
    """Name the rows by `ASKED`."""
    for network in WHOLE:
        layers = [name_of(layer) for layer in place(float32(network)).layers]
        yield from itertools.product((network,), FORMATS, ("tensor", "channel"), layers)


def measured(asked: Asked) -> dict[str, Any]:
    """Build a plan of one layer quantised, and of no Add's read."""
    network, precision, scales, layer = asked
    graph = float32(network).clone()
    everything = place(graph)
    left = {name_of(node): "another" for node, _ in everything.reads if name_of(node) != layer}
    alone = frozenset({layer} if scales == "tensor" else ())
    placement = place(graph, Choice(left, alone, FORMATS[precision]))
    insert_pairs(graph.graph, placement, {t.name or "": 4.0 for t in placement.tensors})
    row = {**facts("tensorrt_rtx_cu13"), **dict(zip(ASKED, asked, strict=True))}
    more = launches(graph) - before(network)
    return {**row, "more": more, "rule": rule(network, precision).get(layer, "")}


def rows(table: Path) -> Iterator[dict[str, Any]]:
    """Measure what is not in a table yet."""
    known = stand_in(table, ASKED)
    return (measured(asked) for asked in all_asked() if asked not in known)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, default=RESULTS)
    table = parser.parse_args().csv
    for row in appended(table, COLUMNS, rows(table)):
        print(*(row[column] for column in COLUMNS[len(FACTS) :]), sep="  ", flush=True)


if __name__ == "__main__":
    main()
