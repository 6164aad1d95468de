"""Faults to plant in a clean .onnx of our own networks, in any precision, by edits of its graph.

A SimAM site is found by its shape alone: a Mul of x by a Sigmoid whose argument comes, by way of a
Reduce, from x. What is planted in a site goes into the middle one.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

LAMBDA = 1e-4
NEAR = 5
"""A constant within this factor of lambda in a site is lambda, times 4 or (H*W - 1) / (H*W)."""


class UnplantableError(Exception):
    """The graph has no place for the fault."""


@dataclass(frozen=True)
class Part:
    """Some planes of an output: which output, and from where to where along axis 1."""

    output: int
    first: int = 0
    end: int | None = None

    @property
    def rows(self) -> slice:
        return slice(self.first, self.end)


PARTS: Mapping[str, Mapping[str, Part]] = {
    "Classifier": {"scores": Part(0)},
    "Segmenter": {"scores": Part(0)},
    "UNet": {"scores": Part(0)},
    "Detector": {"boxes": Part(0, end=4), "scores": Part(0, first=4)},
    "ThreeOutputs": {"boxes": Part(0), "scores": Part(1), "labels": Part(2)},
    "Labelled": {"boxes": Part(0), "scores": Part(1), "labels": Part(2)},
}
"""What the outputs of each network hold."""


@dataclass(frozen=True)
class Site:
    """A SimAM in plain ops: the map, the Mul behind the gate, and the nodes that make the gate."""

    x: str
    mul: onnx.NodeProto
    inner: tuple[onnx.NodeProto, ...]


def sites(proto: onnx.ModelProto) -> list[Site]:
    """List the SimAM sites in the order of the graph."""
    made = {name: node for node in proto.graph.node for name in node.output}
    found = []
    for mul in (node for node in proto.graph.node if node.op_type == "Mul"):
        for x, gate in (mul.input, reversed(mul.input)):
            inner = _between(x, gate, made)
            if made.get(gate) and made[gate].op_type == "Sigmoid" and _reduces(inner):
                found.append(Site(x, mul, inner))
    return found


def _between(x: str, gate: str, made: Mapping[str, onnx.NodeProto]) -> tuple[onnx.NodeProto, ...]:
    """Walk from the gate back to x, and no further than sizes and layers."""
    inner: dict[str, onnx.NodeProto] = {}
    left = [gate]
    while left:
        name = left.pop()
        node = made.get(name)
        if node is None or name == x or name in inner or node.op_type in ("Conv", "Shape"):
            continue
        inner[name] = node
        left += node.input
    return tuple(inner.values())


def _reduces(nodes: Iterable[onnx.NodeProto]) -> bool:
    return any(node.op_type.startswith("Reduce") and node.op_type != "ReduceProd" for node in nodes)


def _middle(proto: onnx.ModelProto) -> Site:
    found = sites(proto)
    if not found:
        raise UnplantableError("no SimAM site")
    return found[len(found) // 2]


def _constants(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}


def _constant(proto: onnx.ModelProto, like: str, array: np.ndarray) -> str:
    """Add an initializer under a free name and return that."""
    name = f"{like}/planted{len(proto.graph.initializer)}"
    proto.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return name


def _reroute(proto: onnx.ModelProto, old: str, new: str) -> None:
    """Have every reader of `old` read `new`."""
    for node in proto.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]


def drop_gate(proto: onnx.ModelProto, parts: Mapping[str, Part]) -> None:
    site = _middle(proto)
    _reroute(proto, site.mul.output[0], site.x)
    proto.graph.node.remove(site.mul)


def reduce_one_axis(proto: onnx.ModelProto, parts: Mapping[str, Part]) -> None:
    """Take the means over H or over W instead of over both."""
    known, changed = _constants(proto), 0
    inner = [node for node in _middle(proto).inner if _reduces([node])]
    reduced = {node.output[0] for node in inner}
    for node in inner:
        axes = known[node.input[1]] if len(node.input) > 1 else _axes(node)
        second = node.input[0] in reduced  # of two steps, in which W is gone before H goes
        if len(axes) == 2 and not second:
            _set_axes(proto, node, axes[:1])
        elif second or axes[0] in (2, -2):
            _reroute(proto, node.output[0], node.input[0])
        else:
            continue
        changed += 1
    if not changed:
        raise UnplantableError("no mean over H and W")


def _axes(node: onnx.NodeProto) -> np.ndarray:
    return np.array(next(a.ints for a in node.attribute if a.name == "axes"), np.int64)


def _set_axes(proto: onnx.ModelProto, node: onnx.NodeProto, axes: np.ndarray) -> None:
    if len(node.input) > 1:
        node.input[1] = _constant(proto, "axes", axes)
    else:
        next(a for a in node.attribute if a.name == "axes").ints[:] = axes


def times_lambda(proto: onnx.ModelProto, parts: Mapping[str, Part], factor: float) -> None:
    known, changed = _constants(proto), 0
    for node in _middle(proto).inner:
        for index, name in enumerate(node.input):
            value = known.get(name)
            if value is None or value.size != 1 or value.dtype.kind != "f":
                continue
            if LAMBDA / NEAR < float(value.item()) < LAMBDA * NEAR:
                array = (value * factor).astype(value.dtype)
                node.input[index] = _constant(proto, "lambda", array)
                changed += 1
    if not changed:
        raise UnplantableError("no lambda")


def _batch_norms(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    found = [node for node in proto.graph.node if node.op_type == "BatchNormalization"]
    if not found:
        raise UnplantableError("no BatchNormalization")
    return found


def change_eps(proto: onnx.ModelProto, parts: Mapping[str, Part]) -> None:
    """Take another framework's eps, 1e-3, for PyTorch's 1e-5."""
    for node in _batch_norms(proto):
        kept = [a for a in node.attribute if a.name != "epsilon"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("epsilon", 1e-3)])


def zero_channel(proto: onnx.ModelProto, parts: Mapping[str, Part]) -> None:
    """Zero the channel of the largest scale in the middle batch norm: nothing is added or gone."""
    found = _batch_norms(proto)
    node, known = found[len(found) // 2], _constants(proto)
    largest = int(np.abs(known[node.input[1]].astype(np.float32)).argmax())
    for index in (1, 2):
        array = known[node.input[index]].copy()
        array[largest] = 0
        node.input[index] = _constant(proto, "channel", array)


def _behind(proto: onnx.ModelProto, output: int) -> tuple[str, str, onnx.TypeProto.Tensor]:
    """Make room before an output: the value that was it, its name, its type and shape."""
    value = proto.graph.output[output]
    clean = f"{value.name}/clean"
    for node in proto.graph.node:
        node.output[:] = [clean if name == value.name else name for name in node.output]
    _reroute(proto, value.name, clean)
    return clean, value.name, value.type.tensor_type


def _part(parts: Mapping[str, Part], name: str) -> Part:
    if name not in parts:
        raise UnplantableError(f"no {name}")
    return parts[name]


def change_rows(
    proto: onnx.ModelProto,
    parts: Mapping[str, Part],
    part: str,
    scale: float = 1.0,
    shift: float = 0.0,
) -> None:
    """Multiply some planes of an output, and add to them."""
    where = _part(parts, part)
    clean, name, tensor = _behind(proto, where.output)
    dims = tensor.shape.dim
    shape = (1, dims[1].dim_value, *[1] * (len(dims) - 2))
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    factors, terms = np.ones(shape, dtype), np.zeros(shape, dtype)
    factors[:, where.rows], terms[:, where.rows] = scale, shift
    factor, term = _constant(proto, name, factors), _constant(proto, name, terms)
    proto.graph.node.append(helper.make_node("Mul", [clean, factor], [f"{name}/scaled"]))
    proto.graph.node.append(helper.make_node("Add", [f"{name}/scaled", term], [name]))


def scale_output(factor: float) -> Callable[[onnx.ModelProto], None]:
    """Make an edit that multiplies the first output, all of it."""
    return partial(change_rows, parts={"all": Part(0)}, part="all", scale=factor)


def swap_classes(proto: onnx.ModelProto, parts: Mapping[str, Part]) -> None:
    """Swap the first two."""
    where = _part(parts, "scores")
    clean, name, tensor = _behind(proto, where.output)
    order = np.arange(tensor.shape.dim[1].dim_value)
    first, second = where.first, where.first + 1
    order[[first, second]] = order[[second, first]]
    indices = _constant(proto, name, order)
    proto.graph.node.append(helper.make_node("Gather", [clean, indices], [name], axis=1))


def shift_index(proto: onnx.ModelProto, parts: Mapping[str, Part]) -> None:
    where = _part(parts, "labels")
    clean, name, _ = _behind(proto, where.output)
    one = _constant(proto, name, np.array(1, np.int64))
    proto.graph.node.append(helper.make_node("Add", [clean, one], [name]))


Plant = Callable[[onnx.ModelProto, Mapping[str, Part]], None]
FAULTS: Mapping[str, Plant] = {
    "gate dropped": drop_gate,
    "wrong axes": reduce_one_axis,
    "lambda 0": partial(times_lambda, factor=0.0),
    "lambda x 2": partial(times_lambda, factor=2.0),
    "BN eps": change_eps,
    "score x 0.95": partial(change_rows, part="scores", scale=0.95),
    "score + 0.05": partial(change_rows, part="scores", shift=0.05),
    "score zeroed": partial(change_rows, part="scores", scale=0.0),
    "classes swapped": swap_classes,
    "boxes + 1 px": partial(change_rows, part="boxes", shift=1.0),
    "index off by one": shift_index,
    "channel zeroed": zero_channel,
}


def _drop_unread(proto: onnx.ModelProto) -> None:
    """Remove the initializers that nothing reads any longer: ONNX Runtime warns of them."""
    read = {name for node in proto.graph.node for name in node.input}
    kept = [t for t in proto.graph.initializer if t.name in read]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)


def fits(fault: str, network: str) -> bool:
    """Tell whether a network has the outputs that a fault is about."""
    needs = {"boxes + 1 px": "boxes", "index off by one": "labels"}.get(fault, "scores")
    return needs in PARTS[network]


def plant(fault: str, network: str, clean: Path, file: Path) -> Path:
    """Write a clean file with a fault in it.

    Raises:
        UnplantableError: There is no place for it.
    """
    proto = onnx.load(clean)
    FAULTS[fault](proto, PARTS[network])
    _drop_unread(proto)
    del proto.graph.value_info[:]
    onnx.checker.check_model(proto)
    onnx.save(proto, file)
    return file
