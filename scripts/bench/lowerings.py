"""How the lowerings compare with the published eleven nodes of SimAM, in one run.

    speed      on ONNX Runtime's CPU provider, one thread: times as fast as the published nodes,
               in that thread's processor time, which is not that of others who wait beside it.
               Of single feature maps, four SimAMs in a row, since what reads a graph's input or
               writes its output is copied where inside a graph it is not; and of a whole network
               at batch 1. Lowerings take turns in every round, the order moves by one each time,
               and the figure is the median over rounds of the ratio within a round. A turn is
               two runs, of which the second counts: a process that serves one network finds
               its weights in the cache.
    launches   kernels in a TensorRT-RTX plan of a whole network, built without a GPU; "none" is
               the network without SimAM, its batch norms left as they are.

What was expected before it was measured stands in predictions.md.

    python scripts/bench/lowerings.py [--rounds 60] [--csv scripts/bench/results/lowerings.csv]
"""

from __future__ import annotations

import argparse
import csv
import datetime
import importlib.metadata
import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from engines import launches, traced

from simam_deploy.graph.lower import LOWERINGS
from simam_deploy.graph.lower.expand import expand
from simam_deploy.graph.passes.tidy import tidy
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.graph.tape import Scalar, Tape
from simam_deploy.precision.half.half import to_half

MAPS = [(1, 64, 112, 112), (1, 256, 56, 56), (8, 256, 56, 56), (1, 2048, 7, 7), (1, 64, 200, 334)]
IN_A_ROW = 4
WHOLE = ("mobilenet_v2", "resnet50")
ENGINES = ("resnet18", "resnet50", "mobilenet_v2")
COLUMNS = (
    "date", "machine", "with", "of", "precision", "lowering", "milliseconds", "times_as_fast",
    "launches",
)  # fmt: skip
Row = dict[str, str]


def published(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    """Emit the nodes that torch.onnx makes of the authors' code."""
    assert isinstance(e_lambda, float) and isinstance(ratio, float)
    n = round(1 / (1 - ratio)) - 1.0
    d2 = tape.op("Pow", tape.op("Sub", x, tape.reduce_mean(x, (2, 3))), 2.0)
    total = tape.op("ReduceSum", d2, tape.constant((2, 3)), attributes={"keepdims": 1})
    variance = tape.op("Add", tape.op("Div", total, n), e_lambda)
    energy = tape.op("Add", tape.op("Div", d2, tape.op("Mul", variance, 4.0)), 0.5)
    return tape.op("Mul", x, tape.op("Sigmoid", energy))


def left_out(model: ir.Model) -> int:
    return expand(model, lambda tape, x, e_lambda, ratio: tape.op("Identity", x), rank=0)


ALL: dict[str, Callable[[ir.Model], int]] = {
    "published": lambda model: expand(model, published, rank=0),
    **{name: lower for name, lower in LOWERINGS.items() if name != "plugin"},
}
"""The plugin's nodes are the function's here; what they are to engines, plugin_launches.py says."""


def row_of_sites(shape: tuple[int, ...]) -> ir.Model:
    """Give a graph of SimAMs in a row."""
    dims = ",".join(map(str, shape))
    chain = "\n".join(f"v{i + 1} = simam.SimAM<e_lambda = 0.1>(v{i})" for i in range(IN_A_ROW))
    model: ir.Model = ir.from_proto(
        onnx.parser.parse_model(
            f"""<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
            g (float[{dims}] v0) => (float[{dims}] v{IN_A_ROW}) {{ {chain} }}"""
        )
    )
    for node in simam_nodes(model):
        node.outputs[0].shape, node.outputs[0].type = ir.Shape(shape), model.graph.inputs[0].type
    return model


def session(model: ir.Model) -> Callable[[], None]:
    """Give what runs the model once, without copies of its input and output."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    made = ort.InferenceSession(
        ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (given,), (result,) = made.get_inputs(), made.get_outputs()
    shape = [d if isinstance(d, int) else 1 for d in given.shape]
    binding = made.io_binding()
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    binding.bind_cpu_input(given.name, x)
    binding.bind_output(result.name, "cpu")
    return lambda: made.run_with_iobinding(binding)


def speeds(model: ir.Model, rounds: int) -> dict[str, tuple[float, float]]:
    """Give, by lowering, median milliseconds and times as fast as the published nodes."""
    runs: dict[str, Callable[[], None]] = {}
    for name, lower in ALL.items():
        lowered = model.clone()
        lower(lowered)
        tidy(lowered)
        runs[name] = session(lowered)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            runs[name]()
            started = time.thread_time()
            runs[name]()
            seconds[name].append(time.thread_time() - started)
    base = seconds["published"]
    return {
        name: (
            1e3 * statistics.median(taken),
            statistics.median(b / t for b, t in zip(base, taken, strict=True)),
        )
        for name, taken in seconds.items()
    }


def speed_rows(rounds: int) -> Iterator[Row]:
    """Measure single maps and whole networks."""
    subjects = {"x".join(map(str, shape)): row_of_sites(shape) for shape in MAPS}
    for network, batch in itertools.product(WHOLE, (1, "dynamic")):
        subjects[f"{network}, {batch} batch"] = traced(network, batch)
    for subject, model in subjects.items():
        for lowering, (milliseconds, ratio) in speeds(model, rounds).items():
            figures = {"milliseconds": f"{milliseconds:.2f}", "times_as_fast": f"{ratio:.3f}"}
            yield {"of": subject, "precision": "fp32", "lowering": lowering, **figures}


def launch_rows() -> Iterator[Row]:
    """Count the launches in plans of whole networks."""
    for network, batch in itertools.product(ENGINES, (1, 8, "dynamic")):
        subject = traced(network, batch)
        for precision, name in itertools.product(("fp32", "fp16"), ("none", *ALL)):
            model = subject.clone()
            if precision == "fp16":
                to_half(model, ir.DataType.FLOAT16)
            (ALL | {"none": left_out})[name](model)
            of = f"{network}, {batch} batch"
            count = str(launches(model))
            yield {"of": of, "precision": precision, "lowering": name, "launches": count}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--csv", type=Path, help="where to put the figures")
    args = parser.parse_args()
    measures = {"onnxruntime": speed_rows(args.rounds), "tensorrt_rtx_cu13": launch_rows()}
    rows = []
    for package, measured in measures.items():
        for row in measured:
            print(*row.values(), sep="  ", flush=True)
            tool = f"{package} {importlib.metadata.version(package)}"
            rows.append({**stamp(), "with": tool, **row})
    if args.csv:
        with args.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def stamp() -> Row:
    return {"date": str(datetime.date.today()), "machine": f"{os.cpu_count()} CPU cores"}


if __name__ == "__main__":
    main()
