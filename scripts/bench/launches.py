"""How many kernels TensorRT-RTX plans of whole networks launch, by the form that SimAM has in them.

Plans are built without a GPU and without a plugin, of weights that are drawn. Forms are those that
an engine can have (`portable`, `flat`, `wide`), the `published` nodes, and `none`: the network
without SimAM, its batch norms left as they are.

    shapes     "static": batch 1; "batch": 1 to 8; "sides": batch 1, every other dimension of
               the input that the network leaves open free, but for its channels (64 to 224)
    sites      SimAMs in the network
    launches   kernels of the plan

What is least likely to differ is counted last. A run that is stopped goes on where it was. What
was expected stands in predictions.md.

    python scripts/bench/launches.py [--csv FILE]
"""

from __future__ import annotations

import argparse
import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx_ir as ir
from engines import YOLO_SHAPE, traced_of, traced_yolo
from rtx_plan import build_plan, count_launches
from tables import FACTS, appended, facts, stand_in

from simam_deploy.bench.operator_graphs import WAYS
from simam_deploy.graph.detect import STANDARD
from simam_deploy.graph.lower.expand import expand
from simam_deploy.graph.passes.tidy import tidy
from simam_deploy.graph.prepare import for_engine
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.precision.half.half import to_half

ASKED = ("network", "shapes", "precision", "target", "form")
COLUMNS = (*FACTS, *ASKED, "sites", "launches", "reason")
RESULTS = Path(__file__).parent / "results" / "launches.csv"
WHOLE = (
    "resnet18", "mobilenet_v2", "resnet50", "cifar_preresnet56", "yolo",
    "wespeaker_simam_resnet34_asp",
)  # fmt: skip
LEAST = ("none", "wide")
FORMS = (*LEAST, "portable", "flat", "published")
FREE_FORMS = ("none", "wide", "flat", "portable")
"""Those of free sides, whose size the published nodes hold."""
FREE = ("resnet18", "mobilenet_v2", "yolo", "wespeaker_simam_resnet34_asp", "resnet50")
TYPES = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}
TARGET = "SM89"
OTHERS = ("SM80", "SM86", "SM120")
Asked = tuple[str, ...]


def plans() -> Iterator[Asked]:
    """Name the plans to count, by `ASKED`, those that tell most first; some more than once."""
    yield from itertools.product(FREE, ("sides",), ("fp32",), (TARGET,), FREE_FORMS)
    yield from itertools.product(("resnet50",), ("batch",), ("fp32", "fp16"), (TARGET,), FORMS)
    yield from itertools.product(("yolo",), ("batch", "static"), ("fp32",), (TARGET,), FORMS)
    for precision, shapes in itertools.product(("fp32", "fp16"), ("batch", "static")):
        yield from itertools.product(WHOLE, (shapes,), (precision,), (TARGET,), LEAST)
    for target, precision in itertools.product(OTHERS, ("fp32", "fp16")):
        yield from itertools.product(WHOLE, ("batch",), (precision,), (target,), LEAST)
    yield from itertools.product(WHOLE, ("batch",), ("fp32", "fp16"), (TARGET,), FORMS)
    yield from itertools.product(FREE, ("sides",), ("fp16",), (TARGET,), FREE_FORMS)
    yield from itertools.product(WHOLE, ("batch", "static"), ("bf16",), (TARGET,), LEAST)
    every = ("fp32", *TYPES)
    yield from itertools.product(WHOLE, ("batch", "static"), every, (TARGET, *OTHERS), FORMS)


@functools.lru_cache(maxsize=2)
def graph(network: str, shapes: str, opset: int) -> ir.Model:
    """Trace a network, a node a SimAM; it is shared."""
    usual = YOLO_SHAPE if network == "yolo" else NETWORKS[network].family.input_shape
    shape: list[int | str] = [1, *usual]
    if shapes == "batch":
        shape[0] = "batch"
    elif shapes == "sides":
        speaker = not network.startswith("yolo") and NETWORKS[network].family.dynamic_axes
        axes = [axis for axis, _ in speaker or ()] or [2, 3]
        for axis in axes:
            if axis:
                shape[axis] = f"side{axis}"
    if network == "yolo":
        return traced_yolo(tuple(shape), opset)
    return traced_of(network, tuple(shape), opset)


def prepared(network: str, shapes: str, precision: str, form: str) -> tuple[ir.Model, int]:
    """Give the graph that is built, and how many SimAMs it had."""
    opset = 22 if precision == "bf16" else 18  # the first that defines Conv for it
    model = graph(network, shapes, opset).clone()
    if precision in TYPES:
        to_half(model, TYPES[precision])
    sites = len(list(simam_nodes(model)))
    if form == "none":
        expand(model, lambda tape, x, e_lambda, ratio: tape.op("Identity", x), rank=0)
    elif form == "published":
        WAYS[form](model)
    else:
        for_engine(model, form, STANDARD, plugin=False)
    tidy(model)
    return model, sites


def counted(asked: Asked) -> dict[str, Any]:
    """Build a plan and count its launches."""
    network, shapes, precision, target, form = asked
    model, sites = prepared(network, shapes, precision, form)
    row = {**facts("tensorrt_rtx_cu13"), **dict(zip(ASKED, asked, strict=True)), "sites": sites}
    try:
        plan = build_plan(ir.to_proto(model).SerializeToString(), target=target)
        return {**row, "launches": count_launches(plan)}
    except ValueError as error:
        return {**row, "reason": " ".join(str(error).split())[:200]}


def rows(table: Path) -> Iterator[dict[str, Any]]:
    """Count what is not in a table yet; each plan once."""
    known = stand_in(table, ASKED)
    return (counted(asked) for asked in dict.fromkeys(plans()) if asked not in known)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, default=RESULTS)
    table = parser.parse_args().csv
    for row in appended(table, COLUMNS, rows(table)):
        print(*(row.get(column, "") for column in COLUMNS[len(FACTS) :]), sep="  ", flush=True)


if __name__ == "__main__":
    main()
