"""Faults in our own lowering, at one site: what an export must not let out."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from unittest import mock

import onnx_ir as ir

from simam_deploy.graph.lower import portable
from simam_deploy.graph.lower.gate import by_pow, gate
from simam_deploy.graph.tape import Scalar, Tape

Emit = Callable[[Tape, ir.Value, Scalar, Scalar], ir.Value]


def _drop_gate(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    return tape.op("Identity", x)


def _keep_gate_still(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    """A gate of 0.6225 for every pixel, which still looks like a gate."""
    still = tape.op("Sigmoid", tape.op("Add", tape.op("Mul", x, 0.0), 0.5))
    return tape.op("Mul", x, still)


def _of_columns(tape: Tape, x: ir.Value) -> ir.Value:
    return tape.reduce_mean(x, (2,))


def _reduce_one_axis(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    d = tape.op("Sub", x, _of_columns(tape, x))
    return tape.op("Mul", x, gate(tape, d, _of_columns, by_pow, e_lambda, ratio))


def _forget_lambda(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
    return portable.on_planes(tape, x, by_pow, 0.0, ratio)


SPOILT: Mapping[str, Emit] = {
    "gate dropped": _drop_gate,
    "gate held still": _keep_gate_still,
    "wrong axes": _reduce_one_axis,
    "lambda 0": _forget_lambda,
}


@contextlib.contextmanager
def spoilt(fault: str, weight: str) -> Iterator[list[str]]:
    """Plant a fault in the portable lowering, at the site behind the Conv of that weight.

    Yields:
        A list that gets the name of the site's map at every use of the fault.
    """
    right, used = portable._portable, []

    def emit(tape: Tape, x: ir.Value, e_lambda: Scalar, ratio: Scalar) -> ir.Value:
        if _weight_before(x) != weight:
            return right(tape, x, e_lambda, ratio)
        used.append(x.name)
        return SPOILT[fault](tape, x, e_lambda, ratio)

    with mock.patch.object(portable, "_portable", emit):
        yield used


def _weight_before(x: ir.Value) -> str | None:
    """Name the weight of the nearest Conv above a map."""
    node = x.producer()
    while node is not None and node.op_type != "Conv":
        node = node.inputs[0].producer()
    return None if node is None else node.inputs[1].name
