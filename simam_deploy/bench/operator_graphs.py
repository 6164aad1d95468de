"""SimAM alone as a graph, in every lowering and as it is published, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from simam_deploy.graph.lower import LOWERINGS
from simam_deploy.graph.lower.expand import expand
from simam_deploy.graph.passes.tidy import tidy
from simam_deploy.graph.sites import simam_nodes
from simam_deploy.graph.tape import Scalar, Tape
from simam_deploy.op.find import find_operators

IN_A_ROW = 4
"""Sites in one graph: what reads a graph's input or writes its output is copied where inside a
graph it is not."""
TYPES: Mapping[str, tuple[str, str]] = {
    "fp32": ("float", "float32"),
    "fp16": ("float16", "float16"),
}
"""By precision, ONNX's name of the map's type, and NumPy's."""


def published(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    """Emit the nodes that torch.onnx makes of the authors' code."""
    assert isinstance(e_lambda, float) and isinstance(ratio, float)
    n = round(1 / (1 - ratio)) - 1.0
    d2 = tape.op("Pow", tape.op("Sub", x, tape.reduce_mean(x, (2, 3))), 2.0)
    total = tape.op("ReduceSum", d2, tape.constant((2, 3)), attributes={"keepdims": 1})
    variance = tape.op("Add", tape.op("Div", total, n), e_lambda)
    energy = tape.op("Add", tape.op("Div", d2, tape.op("Mul", variance, 4.0)), 0.5)
    return tape.op("Mul", x, tape.op("Sigmoid", energy))


WAYS: dict[str, Callable[[ir.Model], int]] = {
    "published": lambda model: expand(model, published, rank=0),
    **{name: lower for name, lower in LOWERINGS.items() if name != "plugin"},
}
"""By name, what becomes of every SimAM of a graph. The plugin's nodes are the function's here."""


def row_of_sites(shape: tuple[int, ...], precision: str = "fp32") -> ir.Model:
    """Give a graph of `IN_A_ROW` SimAMs, one behind the other, on a map (N, C, H, W)."""
    dims, element = ",".join(map(str, shape)), TYPES[precision][0]
    chain = "\n".join(f"v{i + 1} = simam.SimAM<e_lambda = 0.1>(v{i})" for i in range(IN_A_ROW))
    model: ir.Model = ir.from_proto(
        onnx.parser.parse_model(
            f"""<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
            g ({element}[{dims}] v0) => ({element}[{dims}] v{IN_A_ROW}) {{ {chain} }}"""
        )
    )
    for node in simam_nodes(model):
        node.outputs[0].shape, node.outputs[0].type = ir.Shape(shape), model.graph.inputs[0].type
    return model


def lowered(model: ir.Model, way: str) -> ir.Model:
    """Give a copy of a graph with its SimAM nodes in one of `WAYS`."""
    own = model.clone()
    WAYS[way](own)
    tidy(own)
    return own


OPERATORS = "operators"
"""The function's nodes, computed by the library of operators, where there is one."""


def ways_of(model: ir.Model) -> Iterator[tuple[str, Callable[[], Callable[[], None]]]]:
    """Name every way to compute a graph's SimAM nodes here, with what prepares its `session`."""
    for way in WAYS:
        yield way, partial(_prepared, model, way, None)
    if (library := find_operators()) is not None:
        yield OPERATORS, partial(_prepared, model, "function", library)


def _prepared(model: ir.Model, way: str, operators: Path | None) -> Callable[[], None]:
    return session(lowered(model, way), operators)


def session(model: ir.Model, operators: Path | None = None) -> Callable[[], None]:
    """Give what runs a model once by one thread, without copies of its input and output.

    The free dimensions of its input are 1; it has one input and one output. `operators` is the
    library of SimAM's operators, where they are to be taken.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if operators is not None:
        options.register_custom_ops_library(str(operators))
    made = ort.InferenceSession(
        ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (given,), (result,) = made.get_inputs(), made.get_outputs()
    shape = [d if isinstance(d, int) else 1 for d in given.shape]
    binding = made.io_binding()
    dtype = np.float16 if given.type == "tensor(float16)" else np.float32
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    binding.bind_cpu_input(given.name, x)
    binding.bind_output(result.name, "cpu")
    return lambda: made.run_with_iobinding(binding)
