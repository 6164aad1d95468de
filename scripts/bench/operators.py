"""What the operators for ONNX Runtime's CPU provider bring, alone and in networks, in one run.

Alone: one SimAM's time over that of a copy of its map. In a network: how many times as fast as with
the published eleven nodes, with the operators, with them among ONNX Runtime's blocks of channels as
the server keeps the graph, by the functions' bodies, and without SimAM at all, which is the limit.
One thread, its processor time; ways take turns in every round, a turn is two runs of which the
second counts, and the figure is the median of the ratios within rounds. Batch norms are settled:
maps of a network as drawn fade out, and numbers next to 0 take longer.

What was expected before it was measured stands in predictions.md. Needs the library:

    scripts/build_plugin --onnxruntime-include DIR
    python scripts/bench/operators.py [--rounds 40] [--csv scripts/bench/results/operators.csv]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from engines import traced_of
from lowerings import speeds
from tables import FACTS, facts, recorded

from simam_deploy.bench.operator import OpsPlan, measure_operator
from simam_deploy.bench.operator_graphs import WAYS, lowered
from simam_deploy.core.arrays import Array
from simam_deploy.core.specs import shape_text
from simam_deploy.graph.lower.expand import expand
from simam_deploy.graph.tape import Scalar, Tape
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.op.find import find_operators
from simam_deploy.runtime.blocked import in_blocks

ALONE = ((8, 256, 56, 56), (1, 256, 56, 56), (1, 64, 200, 334), (8, 2048, 7, 7))
WHOLE = (
    ("mobilenet_v2", 1), ("mobilenet_v2", 8), ("cifar_preresnet56", 1), ("cifar_preresnet56", 8),
    ("resnet50", 1), ("resnet18", 1), ("wespeaker_simam_resnet34_asp", 1),
)  # fmt: skip
COLUMNS = (*FACTS, "of", "batch", "way", "milliseconds", "over_copy", "times_as_fast")
Row = dict[str, str]


def left_out(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    """Emit nothing in SimAM's place; what follows it in one node stays."""
    return tape.op("Identity", x)


WAYS["none"] = lambda model: expand(model, left_out, rank=0)


def alone(rounds: int) -> Iterator[Row]:
    """Measure single maps, in processes of their own."""
    for rows in measure_operator(OpsPlan(ALONE, ("fp32",), 3, rounds), print):
        for row in rows:
            if row.taken_ms is not None and row.way in ("published", "operators"):
                yield {
                    "of": shape_text(row.shape),
                    "way": row.way,
                    "milliseconds": f"{row.taken_ms:.3f}",
                    "over_copy": f"{row.taken_ms / (row.copy_ms or 1):.2f}",
                }


def whole(rounds: int) -> Iterator[Row]:
    """Measure networks."""
    for network, batch in WHOLE:
        shape = (batch, *NETWORKS[network].family.input_shape)
        x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        runs = runs_of(traced_of(network, shape, settled=True), x)
        for way, (milliseconds, ratio) in speeds(runs, rounds).items():
            yield {
                "of": network,
                "batch": str(batch),
                "way": way,
                "milliseconds": f"{milliseconds:.2f}",
                "times_as_fast": f"{ratio:.3f}",
            }


def runs_of(model: ir.Model, x: Array) -> Mapping[str, Callable[[], object]]:
    """Give what runs a network, by way."""
    files = {
        way: ir.to_proto(lowered(model, way)).SerializeToString()
        for way in ("published", "function", "none")
    }
    path = Path("network.onnx")
    blocks = in_blocks(path, {path.name: files["function"]}, lambda runner: {"input": x})
    runs = {way: session(file, x) for way, file in files.items()}
    runs["operators"] = session(files["function"], x, operators=True)
    if blocks is not None:
        runs["operators in blocks"] = session(blocks, x, operators=True, optimised=True)
    return runs


def session(
    file: bytes, x: Array, operators: bool = False, optimised: bool = False
) -> Callable[[], object]:
    """Give what runs a file once by one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if operators:
        options.register_custom_ops_library(str(find_operators()))
    if optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    made = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda: made.run(None, {"input": x})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--csv", type=Path, help="where to put the figures")
    args = parser.parse_args()
    if find_operators() is None:
        parser.error("there are no operators: scripts/build_plugin --onnxruntime-include DIR")
    known = {**facts("onnxruntime"), "machine": f"{os.cpu_count()} CPU cores, {instructions()}"}
    rows = (row for part in (alone, whole) for row in part(args.rounds))
    for row in recorded(args.csv, COLUMNS, ({**known, **row} for row in rows)):
        print(*row.values(), sep="  ", flush=True)


def instructions() -> str:
    """Name the widest vectors of this machine, by which the operators are chosen."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    return next((name for name in ("avx512bw", "avx2") if name in flags), "plain")


if __name__ == "__main__":
    main()
