"""What the plugin does to TensorRT-RTX plans of whole networks, by the layout that it offers.

    launches   kernels in a plan, built without a GPU; a plugin is one
    plugins    how many of them are SimAM's plugin
    layout     of x, y and the residual at the plugins, by their strides in the plan (NHWC: of
               the channel 1; whether padded, the strides of an odd C tell: tests/plugins)

The library for TensorRT-RTX is found as simam_deploy finds it. Others can be named, to compare:
the one for TensorRT, from which TensorRT-RTX takes linear, or one that offers kHWC8 alone (its
`offers` in plugins/simam/tensorrt changed so).

    python scripts/bench/plugin_launches.py [--also NAME=LIBRARY]... [--csv FILE]
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import onnx_ir as ir
from engines import plan, traced
from rtx_plan import count_launches, plugin_strides

from simam_deploy.graph.file.typed import typed
from simam_deploy.graph.lower.flat import lower_flat
from simam_deploy.graph.lower.plugin import lower_plugin
from simam_deploy.graph.passes.fuse_epilogue import fuse_epilogue
from simam_deploy.graph.passes.opset import convert_opset
from simam_deploy.graph.types import HALF_TYPES, LEAST_OPSET
from simam_deploy.op.find import find_plugin
from simam_deploy.precision.half.half import to_half

NETWORKS = ("resnet18", "resnet50", "mobilenet_v2")
COLUMNS = (
    "date", "machine", "with", "of", "precision", "library", "launches", "plugins", "layout",
)  # fmt: skip
Row = dict[str, str]


def in_precision(model: ir.Model, precision: str, simam_half: bool) -> ir.Model:
    """Give a traced network with its epilogues fused, in fp32, fp16 or bf16."""
    model = convert_opset(model, LEAST_OPSET.get(precision, 0))
    fuse_epilogue(model)
    if precision in HALF_TYPES:
        model = typed(model)
        to_half(model, HALF_TYPES[precision], simam_half=simam_half)
    return model


def plugin_model(network: str, batch: int | str, precision: str) -> ir.Model:
    """Give a network of drawn weights whose SimAM nodes are the plugin's."""
    model = in_precision(traced(network, batch), precision, simam_half=True)
    lower_plugin(model)
    return model


def layouts(strides: list[list[tuple[int, ...]]]) -> str:
    """Name the layouts that reach the plugins: linear, or by the channel's stride and pitch."""
    return " ".join(sorted({_layout(tensor) for each in strides for tensor in each}))


def _layout(strides: tuple[int, ...]) -> str:
    _, channel, _, column = strides
    return "NCHW" if column == 1 else "NHWC" if channel == 1 else "other"


def rows(libraries: dict[str, Path]) -> Iterator[Row]:
    """Build everything."""
    for network, batch, precision in itertools.product(
        NETWORKS, (8, "batch"), ("fp32", *HALF_TYPES)
    ):
        of = {"of": f"{network}, {batch if batch == 8 else 'dynamic'} batch"}
        plain = in_precision(traced(network, batch), precision, simam_half=False)
        lower_flat(plain)
        without = str(count_launches(plan(plain)))
        yield {**of, "precision": precision, "library": "none (flat)", "launches": without}
        model = plugin_model(network, batch, precision)
        for name, library in libraries.items():
            yield {**of, "precision": precision, "library": name, **built(model, library)}


def built(model: ir.Model, library: Path) -> Row:
    """Build with a library and read the plan."""
    try:
        made = plan(model, library)
    except ValueError:
        return {"launches": "does not build"}
    strides = plugin_strides(made)
    figures = {"launches": str(count_launches(made)), "plugins": str(len(strides))}
    return figures | {"layout": layouts(strides)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--also", action="append", default=[], metavar="NAME=LIBRARY")
    parser.add_argument("--csv", type=Path, help="where to put the figures")
    args = parser.parse_args()
    ours = find_plugin("tensorrt_rtx")
    if ours is None:
        raise SystemExit("no plugin for tensorrt_rtx: scripts/build_plugin makes it")
    named = (pair.partition("=") for pair in args.also)
    libraries = {"tensorrt_rtx": ours, **{name: Path(path) for name, _, path in named}}
    version = importlib.metadata.version("tensorrt_rtx_cu13")
    stamp = {
        "date": str(datetime.date.today()),
        "machine": f"{os.cpu_count()} CPU cores",
        "with": f"tensorrt_rtx_cu13 {version}",
    }
    measured = []
    for row in rows(libraries):
        print(*row.values(), sep="  ", flush=True)
        measured.append({**stamp, **row})
    if args.csv:
        with args.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(measured)


if __name__ == "__main__":
    main()
