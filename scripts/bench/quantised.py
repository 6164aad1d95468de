"""What int8 and fp8 cost and save in TensorRT-RTX plans, by which layers are quantised.

Plans are built for sm89 without a GPU, at batch 1. Networks are of drawn weights, their batch norms
settled, and calibrated on 16 drawn inputs, but for "digits", the trained one, calibrated on 64 of
its training images; "yolo" is the example's detector.

    lowering    what SimAM is in the plan: wide or flat
    placement   none, all layers that can be quantised, or those that pay (`precision.int8.paying`)
    layers      convolutions in eight bits
    launches    kernels of the plan
    eight       its convolution kernels that read eight-bit weights
    bytes       of the plan
    cost        change of the outputs over the float32 network's, root of mean squares, on 16 other
                drawn inputs, or the 360 test images; the same for both lowerings
    agree       share of these that are classified as the float32 network does
    right       of the test images, how many are classified right

What was expected stands in predictions.md. A run that is stopped goes on where it was.

    python scripts/bench/quantised.py [--csv FILE]
"""

from __future__ import annotations

import argparse
import functools
import itertools
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from engines import YOLO_SHAPE, eight_bit_convolutions, plan, traced_of, traced_yolo
from rtx_plan import count_launches
from tables import FACTS, appended, facts, stand_in

from simam_deploy import NetworkOptions, OnnxOptions, export_onnx
from simam_deploy.core.arrays import Array
from simam_deploy.core.specs import TensorSpec
from simam_deploy.graph.detect import STANDARD
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.passes.tidy import tidy
from simam_deploy.graph.prepare import for_engine, plain, with_sites
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.precision.half.half import to_half
from simam_deploy.precision.int8 import quantise
from simam_deploy.precision.int8.asked import choose
from simam_deploy.precision.int8.formats import FORMATS
from simam_deploy.precision.rounding import rounded
from simam_deploy.runtime.graph_runner import run_graph
from simam_deploy.source.samples import open_dataset

sys.path.insert(0, str(Path(__file__).parents[1]))
from train_digits import split

ASKED = ("network", "precision", "placement", "lowering")
COLUMNS = (
    *FACTS, *ASKED, "layers", "launches", "eight", "bytes", "cost", "agree", "right", "reason",
)  # fmt: skip
RESULTS = Path(__file__).parent / "results" / "quantised.csv"
CHECKPOINT = next((Path(__file__).parents[2] / "examples").glob("digits-*/model_best.pth.tar"))
DIGITS, YOLO = "digits", "yolo"
WHOLE = (DIGITS, "resnet18", YOLO, "mobilenet_v2", "resnet50")
KINDS = (
    ("fp32", "none"), ("fp16", "none"), ("int8", "all"), ("int8", "pays"), ("fp8", "all"),
    ("fp8", "pays"),
)  # fmt: skip
OPSET = 19
"""The first with FP8."""
SAMPLES = 16
Asked = tuple[str, ...]


def all_asked() -> Iterator[Asked]:
    """Name the rows by `ASKED`."""
    for network, lowering in itertools.product(WHOLE, ("wide", "flat")):
        for precision, placement in KINDS:
            yield network, precision, placement, lowering


@functools.lru_cache(maxsize=1)
def float32(network: str) -> bytes:
    """Give a network at batch 1 in float32, a node a SimAM, as a file."""
    if network == DIGITS:
        with tempfile.TemporaryDirectory() as folder:
            asked = OnnxOptions(opset=OPSET), NetworkOptions(dynamic="none")
            file = export_onnx(CHECKPOINT, Path(folder) / "digits.onnx", *asked).path
            graph, _ = with_sites(read_model(file))
    elif network == YOLO:
        graph = traced_yolo((1, *YOLO_SHAPE), OPSET, settled=True)
    else:
        shape = (1, *NETWORKS[network].family.input_shape)
        graph = traced_of(network, shape, OPSET, settled=True)
    data: bytes = ir.to_proto(graph).SerializeToString()
    return data


def fresh(network: str) -> ir.Model:
    """Give a copy to be changed."""
    return ir.from_proto(onnx.load_from_string(float32(network)))


@functools.lru_cache(maxsize=1)
def inputs(network: str) -> tuple[Array, Array]:
    """Give what to calibrate on, and what to compare on, each (N, C, H, W)."""
    if network == DIGITS:
        train, test, *_ = (part.numpy() for part in split())
        return train[:: len(train) // 64], test
    (value,) = fresh(network).graph.inputs
    drawn = np.random.default_rng(0).standard_normal((2 * SAMPLES, *value.shape.numpy()[1:]))
    return drawn[:SAMPLES].astype(np.float32), drawn[SAMPLES:].astype(np.float32)


def converted(network: str, precision: str, placement: str, lowering: str) -> tuple[ir.Model, int]:
    """Give the graph in plain ops, and how many layers are in eight bits."""
    graph = fresh(network)
    if precision == "fp16":
        to_half(graph, ir.DataType.FLOAT16)
    for_engine(graph, lowering, STANDARD, plugin=False)
    tidy(graph)
    if precision not in FORMATS:
        return graph, 0
    with tempfile.TemporaryDirectory() as folder:
        file, samples = Path(folder) / "m.onnx", Path(folder) / "x.npy"
        write_model(graph, file)
        np.save(samples, inputs(network)[0])
        (value,) = graph.graph.inputs
        spec = TensorSpec(value.name or "", "float32", tuple(value.shape.numpy()))
        choice = choose(graph, placement, FORMATS[precision])
        found = quantise(file, open_dataset(samples, [spec], None), choice=choice)
        return found.model.clone(), found.layers


def outputs(graph: ir.Model, network: str) -> Array:
    """Run what is compared, picture by picture: (N, values) of the first output."""
    with run_graph(graph) as runner:
        (spec, *_) = runner.inputs
        found = [runner.run({spec.name: each[None]}) for each in inputs(network)[1]]
    return np.stack([next(iter(each.values())).reshape(-1) for each in found])


@functools.lru_cache(maxsize=1)
def exact(network: str) -> Array:
    """Give what the float32 network gives."""
    return outputs(converted(network, "fp32", "none", "flat")[0], network)


def accuracy(graph: ir.Model, network: str) -> dict[str, Any]:
    """Hold a graph's outputs against the float32 network's."""
    wanted, got = exact(network), outputs(graph, network)
    found: dict[str, Any] = {"cost": f"{np.linalg.norm(got - wanted) / np.linalg.norm(wanted):.2e}"}
    if network != YOLO:
        found["agree"] = f"{np.mean(got.argmax(1) == wanted.argmax(1)):.4f}"
    if network == DIGITS:
        labels = split()[3].numpy()
        found["right"] = int((got.argmax(1) == labels).sum())
    return found


def measured(asked: Asked) -> dict[str, Any]:
    """Build a plan and count; where SimAM is `wide`, compare outputs too."""
    network, precision, _, lowering = asked
    row = {**facts("tensorrt_rtx_cu13"), **dict(zip(ASKED, asked, strict=True))}
    try:
        graph, layers = converted(*asked)
        built = plan(graph)
    except ValueError as error:
        return {**row, "reason": " ".join(str(error).split())[:200]}
    row |= {"layers": layers, "launches": count_launches(built), "bytes": len(built)}
    row["eight"] = eight_bit_convolutions(built)
    if lowering == "wide":
        run = rounded(plain(graph)) if precision == "fp16" else graph
        row |= accuracy(run, network)
    return row


def rows(table: Path) -> Iterator[dict[str, Any]]:
    """Measure what is not in a table yet."""
    known = stand_in(table, ASKED)
    return (measured(asked) for asked in all_asked() if asked not in known)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, default=RESULTS)
    table = parser.parse_args().csv
    for row in appended(table, COLUMNS, rows(table)):
        print(*(row.get(column, "") for column in COLUMNS[len(FACTS) :]), sep="  ", flush=True)


if __name__ == "__main__":
    main()
