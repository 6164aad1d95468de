"""SimAM sites and whole networks in ONNX Runtime's CPU provider against copies of their maps.

Which nodes are a site's is told by recognition in the file's own graph; what they took, by ONNX
Runtime's profiler, under the names that its optimiser leaves them. A node that it fused with
another is not there any more, and the site says so.
"""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simam_deploy.bench.asked import Asked
from simam_deploy.bench.copying import copy_ms
from simam_deploy.bench.inputs import named
from simam_deploy.bench.records import Roofline, SiteRow
from simam_deploy.core.arrays import Array, numpy_type
from simam_deploy.core.files import named_in_text
from simam_deploy.core.specs import numpy_name
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.typed import with_shapes
from simam_deploy.graph.prepare import opened
from simam_deploy.graph.recognise import Site, recognise
from simam_deploy.graph.types import PRODUCTS
from simam_deploy.runtime.onnx_runner import PROVIDERS, OnnxRunner

_RUNS = 7
"""The first is to warm up."""
_WRITTEN_OUT = (
    "one node with a body, which ONNX Runtime writes out under names of its own: it cannot be told"
)
_NOTE = "one thread copies, whatever a run computes with"


@dataclass(frozen=True)
class _Node:
    """A node of a run: its operator, the medians over runs, and what it reads and writes."""

    op: str
    taken_ms: float
    moved: int
    maps: tuple[tuple[int, tuple[int, ...]], ...]
    """Bytes and shape of each input."""


def measure_roofline(asked: Asked, batch: int, arrays: Sequence[Array]) -> Roofline:
    """Run a file under the profiler and hold its sites against copies.

    Args:
        asked: An .onnx on the CPU provider.
        batch: Of the arrays.
        arrays: One an input, in their order.

    Raises:
        InputError: It does not run.
    """
    sites = recognise(with_shapes(opened(read_model(asked.path)))).sites
    nodes = _profile(asked, arrays)
    rows = tuple(_row(site, nodes) for site in sites)
    known = [row for row in rows if row.moved]
    largest = max((row.moved for row in known), default=1 << 25)
    rate = largest / copy_ms(largest // 2)
    moved = _least_moved(rows, sites, nodes) if len(known) == len(rows) else None
    return Roofline(
        subject=asked.name,
        batch=batch,
        device="CPU",
        copy_gb_s=rate * 1e3 / 1e9,
        sites=rows,
        moved=moved,
        floor_ms=None if moved is None else moved / rate,
        taken_ms=sum(node.taken_ms for node in nodes.values()),
        note=_NOTE,
    )


def _profile(asked: Asked, arrays: Sequence[Array]) -> dict[str, _Node]:
    """Give, by name, what each node took."""
    with tempfile.TemporaryDirectory() as folder, named_in_text(asked.path) as path:
        runner = OnnxRunner(path, PROVIDERS["cpu"], threads=asked.threads, profile=Path(folder))
        with runner:
            feeds = named(runner.inputs, arrays)
            for _ in range(_RUNS):
                runner.run(feeds)
            events = runner.profiled()
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for event in events:
        by_name.setdefault(event["name"], []).append(event)
    return {name: _node(each) for name, each in by_name.items()}


def _node(events: Sequence[Mapping[str, Any]]) -> _Node:
    """Sum up the runs of a node; the first is left out, and one in a loop counts once a turn."""
    args, turns = events[-1]["args"], max(1, len(events) // _RUNS)
    taken = statistics.median(event["dur"] for event in events[turns:] or events)
    sizes = (args.get(f"{what}_size", 0) for what in ("activation", "parameter", "output"))
    return _Node(
        args.get("op_name", ""),
        turns * taken / 1e3,
        turns * sum(map(int, sizes)),
        tuple(_maps(args.get("input_type_shape", ()))),
    )


def _maps(
    described: Sequence[Mapping[str, Sequence[int]]],
) -> Iterator[tuple[int, tuple[int, ...]]]:
    for each in described:
        for element, shape in each.items():
            size = np.dtype(numpy_type(numpy_name(element))).itemsize
            yield math.prod(shape) * size, tuple(shape)


def _row(site: Site, nodes: Mapping[str, _Node]) -> SiteRow:
    """Hold one site against a copy of its map."""
    own = [node.name or "" for node in reversed(site.nodes)]
    there = [nodes[name] for name in own if name in nodes]
    maps = [each for node in there for each in node.maps]
    if not maps:
        note = _WRITTEN_OUT if site.form == "function" else "none of its nodes is left by its name"
        return SiteRow(site.name, (), 0, 0.0, None, (), note)
    size, shape = max(maps, key=lambda each: (each[0], len(each[1]) == 4))
    gone = [node.op_type for node in reversed(site.nodes) if (node.name or "") not in nodes]
    return SiteRow(
        name=site.name,
        shape=shape,
        moved=2 * size,
        floor_ms=copy_ms(size),
        taken_ms=sum(node.taken_ms for node in there),
        nodes=tuple(node.op for node in there),
        note=f"without {', '.join(gone)}, fused or folded" if gone else "",
    )


def _least_moved(rows: Sequence[SiteRow], sites: Sequence[Site], nodes: Mapping[str, _Node]) -> int:
    """Add up what layers with weights and sites must move, all else being fused into them."""
    inner = {node.name for site in sites for node in site.nodes}
    layers = (node.moved for name, node in nodes.items() if _is_layer(node) and name not in inner)
    return sum(layers) + sum(row.moved for row in rows)


def _is_layer(node: _Node) -> bool:
    return any(product in node.op for product in PRODUCTS)
