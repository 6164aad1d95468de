"""What TensorRT-RTX makes of a network in int8: kernels in a plan, built without a GPU.

    launches    of the float32 graph and of the int8 graph made of it
    layers      convolutions that the placement gives to int8
    int8        convolution kernels of the plan that read int8 weights
    pairs       kernels that do nothing but quantise: a Q/DQ pair that was not taken in

The networks are of drawn weights, calibrated on drawn samples, and flat; "chain" is six
convolutions with ReLU and no SimAM, four of them in int8.

    python scripts/bench/int8.py [network ...] [--csv scripts/bench/results/int8.csv]
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from engines import int8_convolutions, plan, traced
from rtx_plan import kernels

from simam_deploy.core.specs import TensorSpec
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower import LOWERINGS
from simam_deploy.graph.passes.tidy import tidy
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.precision.int8 import quantise
from simam_deploy.source.samples import open_dataset

WHOLE = (
    "cifar_resnet20",
    "resnet18",
    "resnet50",
    "mobilenet_v2",
    "wespeaker_simam_resnet34_asp",
)
CHAIN = "chain"
COLUMNS = ("date", "with", "of", "float32", "launches", "layers", "int8", "pairs")
_PAIR_ALONE = "__myl_MulMinMaxRounCast"


def measure(name: str, folder: Path) -> tuple[int, int, int, int, int]:
    """Give launches in float32 and in int8, layers, int8 kernels and lone pairs."""
    file, samples = folder / f"{name}.onnx", folder / f"{name}.npy"
    shape = write_network(name, file)
    drawn = np.random.default_rng(0).standard_normal((4, *shape)).astype(np.float32)
    np.save(samples, drawn)
    spec = TensorSpec("input", "float32", (1, *shape))
    quantised = quantise(file, open_dataset(samples, [spec], None))
    built = plan(quantised.model)
    names = kernels(built)
    return (
        len(kernels(plan(read_model(file)))),
        len(names),
        quantised.layers,
        int8_convolutions(built),
        names.count(_PAIR_ALONE),
    )


def write_network(name: str, file: Path) -> tuple[int, ...]:
    """Write a float32 file and give its input's shape without the batch."""
    if name == CHAIN:
        write_model(chain(), file)
        return (64, 56, 56)
    graph = traced(name, 1)
    LOWERINGS["flat"](graph)
    tidy(graph)
    write_model(graph, file)
    return NETWORKS[name].family.input_shape


def chain() -> ir.Model:
    """Six convolutions with ReLU, of which the first and the last stay float32."""
    rng = np.random.default_rng(0)
    nodes, values = [], "input"
    for i in range(6):
        nodes.append(f"c{i} = Conv<pads = [1, 1, 1, 1]>({values}, w{i}, b{i}) r{i} = Relu(c{i})")
        values = f"r{i}"
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[1,64,56,56] input) => '
        f"(float[1,64,56,56] {values}) {{ {' '.join(nodes)} }}"
    )
    for i in range(6):
        for kind, shape in (("w", (64, 64, 3, 3)), ("b", (64,))):
            array = (rng.standard_normal(shape) / 17).astype(np.float32)
            proto.graph.initializer.append(onnx.numpy_helper.from_array(array, f"{kind}{i}"))
    return ir.from_proto(proto)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=(CHAIN, *WHOLE))
    parser.add_argument("--csv", type=Path)
    args = parser.parse_args()
    rows = []
    version = f"tensorrt-rtx {importlib.metadata.version('tensorrt-rtx-cu13')}"
    with tempfile.TemporaryDirectory() as folder:
        for name in args.networks:
            figures = measure(name, Path(folder))
            row = (datetime.date.today().isoformat(), version, name, *figures)
            rows.append(row)
            print(*row, sep="\t", flush=True)
    if args.csv:
        with args.csv.open("w", newline="") as table:
            csv.writer(table, lineterminator="\n").writerows([COLUMNS, *rows])


if __name__ == "__main__":
    main()
