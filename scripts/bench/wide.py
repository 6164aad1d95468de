"""Launches of whole networks as TensorRT-RTX plans without a plugin, by lowering.

Plans are built without a GPU, with the batch fixed and free, for four generations of GPUs. "none"
is the network without SimAM, its batch norms left as they are; "sites" is how many SimAMs there
are, so that `wide` less `none` is a kernel a site at most. Lowerings are written as for an engine.

    python scripts/bench/wide.py [--csv FILE]

A combination that is in the table is not built again: a run that is stopped goes on where it was.
What was expected stands in predictions.md.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import onnx_ir as ir
import torch
from engines import folded, traced
from lowerings import left_out
from networks import networks
from rtx_plan import BATCH, build_plan, count_launches
from tables import FACTS, facts, grown

from simam_deploy.bench.operator_graphs import WAYS
from simam_deploy.graph.lower.flat import lower_flat_for_engine
from simam_deploy.graph.lower.wide import lower_wide_for_engine
from simam_deploy.graph.recognise import to_nodes
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.precision.half.half import to_half

RESULTS = Path(__file__).parent / "results" / "wide.csv"
TARGETS = ("SM89", "SM80", "SM86", "SM120")
ZOO = {
    "resnet18": ((3, 224, 224), ("h", "w")),
    "mobilenet_v2": ((3, 224, 224), ("h", "w")),
    "cifar_preresnet56": ((3, 32, 32), ()),
    "wespeaker_simam_resnet34_asp": ((200, 80), ("frames", 80)),
    "resnet50": ((3, 224, 224), ("h", "w")),
}
"""By name, a row of input, and its sides where they are left free."""
YOLO = "yolo"
_KEY = ("of", "batch", "sides", "precision", "target", "lowering")
COLUMNS = (*FACTS, *_KEY, "sites", "launches")
_TYPES = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}


class Wanted(NamedTuple):
    """One plan; the batch and the sides are free or fixed."""

    of: str
    batch: str
    sides: str
    precision: str
    target: str
    lowering: str


LOWERINGS = {
    "none": left_out,
    "wide": lower_wide_for_engine,
    "portable": WAYS["portable"],
    "flat": lower_flat_for_engine,
    "published": WAYS["published"],
}


def wanted() -> Iterator[Wanted]:
    """List the plans, the most telling first."""
    subjects = (*ZOO, YOLO)
    fixed = [(of, batch, "fixed") for of in subjects for batch in ("1", "free")]
    free = [(of, "1", "free") for of in subjects if of == YOLO or ZOO[of][1]]
    for precision in ("fp32", "fp16"):
        for lowering in ("none", "wide", "portable", "flat"):
            yield from (Wanted(*each, precision, "SM89", lowering) for each in fixed)
    for lowering in ("none", "wide", "portable", "flat"):
        yield from (Wanted(*each, "fp32", "SM89", lowering) for each in free)
    for target in TARGETS[1:]:
        for precision in ("fp32", "fp16"):
            for lowering in ("wide", "none"):
                yield from (Wanted(*each, precision, target, lowering) for each in fixed)
    for lowering in ("wide", "none"):
        yield from (Wanted(*each, "bf16", "SM89", lowering) for each in fixed)
    yield from (Wanted(*each, "fp32", "SM89", "published") for each in fixed)


def counted(plan: Wanted) -> dict[str, object]:
    """Build a plan and count its launches."""
    model = subject(plan)
    sites = sum(1 for _ in simam_nodes(model))
    if plan.precision in _TYPES:
        to_half(model, _TYPES[plan.precision])
    LOWERINGS[plan.lowering](model)
    built = build_plan(ir.to_proto(model).SerializeToString(), None, plan.target, largest(plan))
    return {**plan._asdict(), "sites": sites, "launches": count_launches(built)}


def subject(plan: Wanted) -> ir.Model:
    """Trace a network of drawn weights."""
    batch = 1 if plan.batch == "1" else "batch"
    opset = 22 if plan.precision == "bf16" else 18  # the first that defines Conv for it
    if plan.of == YOLO:
        torch.manual_seed(0)
        network = networks()[YOLO]
        sides = ("h", "w") if plan.sides == "free" else network.shape[1:]
        shape = (batch, network.shape[0], *sides)
        graph = folded(network.make(), shape, ("output",), opset)
        to_nodes(graph)  # its SimAM is a module of its own
        return graph
    row, free = ZOO[plan.of]
    sides = free if plan.sides == "free" else row
    return traced(plan.of, batch, sides, opset)


def largest(plan: Wanted) -> tuple[int, ...]:
    """Say what free dimensions reach to."""
    row = networks()[YOLO].shape if plan.of == YOLO else ZOO[plan.of][0]
    return (BATCH, *row)


def done(table: Path) -> set[Wanted]:
    """List the plans that are in the table."""
    if not table.exists():
        return set()
    with table.open(newline="") as file:
        return {Wanted(*(row[name] for name in _KEY)) for row in csv.DictReader(file)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, default=RESULTS, help="where to put the figures")
    table = parser.parse_args().csv
    said = facts("tensorrt-rtx-cu13")
    left = [plan for plan in wanted() if plan not in done(table)]
    for row in grown(table, COLUMNS, ({**said, **counted(plan)} for plan in left)):
        print(*(row[name] for name in COLUMNS[len(FACTS) :]), sep="  ", flush=True)


if __name__ == "__main__":
    main()
