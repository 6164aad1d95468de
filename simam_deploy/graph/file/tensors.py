"""The tensors of a message: where they all are, and whether they hold what they claim."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import onnx
import onnx_ir as ir

from simam_deploy.errors import InputError

_LARGEST_SIZE = 2**40
"""Elements. A terabyte of weights is no model that anybody deploys."""

LARGEST_VALUE = 2**31
"""Elements of a value that a graph computes or is given, at the sizes that it fixes: 8 GB."""

_TYPED_FIELDS: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float_data",
    onnx.TensorProto.COMPLEX64: "float_data",
    onnx.TensorProto.DOUBLE: "double_data",
    onnx.TensorProto.COMPLEX128: "double_data",
    onnx.TensorProto.INT64: "int64_data",
    onnx.TensorProto.UINT32: "uint64_data",
    onnx.TensorProto.UINT64: "uint64_data",
    onnx.TensorProto.STRING: "string_data",
}
"""Where a tensor that is not raw keeps its numbers; all other types use int32_data."""

_COMPLEX = (onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128)


def all_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield `graph` and every graph nested in it, without recursion."""
    pending = [graph]
    while pending:
        graph = pending.pop()
        yield graph
        pending.extend(nested_graphs(graph.node))


def all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield `nodes` and those of every graph nested in them."""
    for node in nodes:
        yield node
        for graph in nested_graphs([node]):
            for inner in all_graphs(graph):
                yield from inner.node


def all_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor: initializers and attributes, of nested graphs and functions too.

    Raises:
        InputError: There are sparse tensors, or external ones in a function; onnx_ir drops the
            former and does not find the folder of the latter.
    """
    for graph in all_graphs(model.graph):
        if graph.sparse_initializer:
            raise InputError("it has sparse initializers, which are not supported: make them dense")
        yield from graph.initializer
    yield from _of_attributes(all_nodes(model.graph.node))
    for function in model.functions:
        nodes = list(all_nodes(function.node))
        inner = [
            t for g in nested_graphs(function.node) for h in all_graphs(g) for t in h.initializer
        ]
        for tensor in (*inner, *_of_attributes(nodes)):
            if is_external(tensor):
                raise InputError(f"function {function.name} has external data, which is unusable")
            yield tensor


def is_external(tensor: onnx.TensorProto) -> bool:
    """Tell whether the data lie in another file."""
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def nbytes(tensor: onnx.TensorProto) -> int:
    """Return how many bytes the shape and type of a checked tensor ask for."""
    bits: int = math.prod(tensor.dims) * ir.DataType(tensor.data_type).bitwidth
    return (bits + 7) // 8


def check_tensors(tensors: Iterable[onnx.TensorProto]) -> None:
    """Check that every tensor carries as much as its shape and type claim.

    Raises:
        InputError: One does not; it is named.
    """
    for tensor in tensors:
        reason = _claim(tensor) or ("" if is_external(tensor) else _load(tensor))
        if reason:
            raise InputError(f"tensor {tensor.name!r} {reason}")


def _claim(tensor: onnx.TensorProto) -> str:
    """Say what is wrong with shape and type."""
    if tensor.data_type not in ir.DataType.__members__.values() or not tensor.data_type:
        return f"is of the unknown type {tensor.data_type}"
    if any(dim < 0 for dim in tensor.dims) or math.prod(tensor.dims) > _LARGEST_SIZE:
        return f"has the impossible shape {list(tensor.dims)[:8]}"
    if tensor.HasField("segment"):
        return "comes in segments, which nothing reads"
    if is_external(tensor) and _has_data(tensor):
        return "is external and has data of its own as well"
    if tensor.data_type == onnx.TensorProto.STRING and not tensor.string_data:
        return "" if 0 in tensor.dims else "is of strings and has none"
    return ""


def _load(tensor: onnx.TensorProto) -> str:
    """Say how much the data differ from what was claimed."""
    size = math.prod(tensor.dims)
    if tensor.HasField("raw_data") and tensor.data_type != onnx.TensorProto.STRING:
        claimed, carried, unit = nbytes(tensor), len(tensor.raw_data), "bytes"
    else:
        field = _TYPED_FIELDS.get(tensor.data_type, "int32_data")
        claimed, carried, unit = size, len(getattr(tensor, field)), "elements"
        if tensor.data_type in _COMPLEX:
            claimed = 2 * size
        elif field == "int32_data" and ir.DataType(tensor.data_type).bitwidth < 8:
            claimed, unit = nbytes(tensor), "bytes"
    if claimed == carried:
        return ""
    return f"claims {claimed} {unit} for its shape {list(tensor.dims)} and carries {carried}"


def _has_data(tensor: onnx.TensorProto) -> bool:
    return any(field.name.endswith("_data") and field.name != "external_data"
               for field, _ in tensor.ListFields())  # fmt: skip


def _of_attributes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                raise InputError(
                    f"node {node.name!r} has a sparse tensor, which is not supported: make it dense"
                )
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def nested_graphs(nodes: Iterable[onnx.NodeProto]) -> list[onnx.GraphProto]:
    """List the graphs in the attributes of `nodes`."""
    attributes = [attribute for node in nodes for attribute in node.attribute]
    single = [attribute.g for attribute in attributes if attribute.HasField("g")]
    return [*single, *(graph for attribute in attributes for graph in attribute.graphs)]
