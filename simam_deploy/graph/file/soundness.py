"""Is a message a graph that can be worked on: opsets, domains, functions, order, types."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

import onnx
import onnx_ir as ir
from onnx import checker, shape_inference

from simam_deploy.errors import GraphError, InputError
from simam_deploy.graph.file.own import check_own_nodes
from simam_deploy.graph.file.tensors import (
    LARGEST_VALUE,
    all_graphs,
    all_nodes,
    all_tensors,
    is_external,
    nbytes,
)
from simam_deploy.op import contract

OLDEST_OPSET, NEWEST_OPSET = 11, onnx.defs.onnx_opset_version()

_DEFAULT = ("", "ai.onnx")
_KNOWN_DOMAINS = {*_DEFAULT, "ai.onnx.ml", "com.microsoft", contract.DOMAIN}
_LARGEST_EXPANSION = 10**5
"""Nodes once all functions are expanded. Thirty functions that each call the next twice would
make 10^9."""

_SMALL = 1024
"""Elements up to which a tensor is shown to ONNX's checks: shapes and axes take part in them."""

_PASSED_ON = (RuntimeError, ValueError)
"""What else ONNX's checks raise: of broken nodes, unknown types, names that are not UTF-8."""

_Key = tuple[str, str, str]


def check_header(model: onnx.ModelProto) -> None:
    """Check that there is a graph, of an IR version and opset that are known.

    Raises:
        InputError: There is none.
    """
    if not model.HasField("graph"):
        raise InputError("no ONNX model: it holds no graph")
    if not 3 <= model.ir_version <= onnx.IR_VERSION:
        raise InputError(
            f"IR version {model.ir_version}; the installed onnx {onnx.__version__} knows 3 to "
            f"{onnx.IR_VERSION}"
        )
    versions = {(o.domain, o.version) for o in model.opset_import}
    if not versions:
        raise InputError("no opset import: the meaning of its nodes is undefined")
    if len({domain for domain, _ in versions}) != len(versions):
        raise InputError("a domain is imported in two versions")
    default = [version for domain, version in versions if domain in _DEFAULT]
    if len(default) != 1:
        raise InputError("the default domain is not imported exactly once")
    _check_opset(default[0])
    if not model.graph.output:
        raise InputError("the graph has no outputs")


def _check_opset(opset: int) -> None:
    if opset < OLDEST_OPSET:
        raise InputError(
            f"opset {opset}: re-export with opset {OLDEST_OPSET} or newer (18 is a good choice)"
        )
    if opset > NEWEST_OPSET:
        raise InputError(
            f"opset {opset}; the installed onnx {onnx.__version__} knows up to {NEWEST_OPSET}: "
            "re-export with that, or upgrade onnx"
        )


def check_nodes(model: onnx.ModelProto) -> None:
    """Check order, names, attributes and types of every node, with ONNX's own checks.

    Args:
        model: Its header and tensors have been checked.

    Raises:
        InputError: A node is unknown or wrong; it is named where ONNX names it.
    """
    defined = {_key(function): function for function in model.functions}
    if len(defined) != len(model.functions):
        raise InputError("a function is defined twice")
    for nodes in (model.graph.node, *(function.node for function in model.functions)):
        _check_domains(nodes, defined)
        check_own_nodes(all_nodes(nodes))
    _check_expansion(model, defined)
    _check_versions(model)
    _check_names(model.graph)
    _judge(_without_weights(model))


def _check_domains(nodes: Iterable[onnx.NodeProto], defined: Iterable[_Key]) -> None:
    for node in all_nodes(nodes):
        if node.domain not in _KNOWN_DOMAINS and _key(node) not in defined:
            name = node.name or (node.output[0] if node.output else "")
            raise InputError(
                f"node {name!r} is {node.domain}::{node.op_type}, which nothing defines: "
                "give the model a function body for it"
            )


def _check_expansion(model: onnx.ModelProto, defined: dict[_Key, onnx.FunctionProto]) -> None:
    """Refuse functions that call themselves, and those that expand without end."""
    calls = {
        key: [called for node in all_nodes(function.node) if (called := _key(node)) in defined]
        for key, function in defined.items()
    }
    sizes: dict[_Key, int] = {}
    try:
        for key in TopologicalSorter(calls).static_order():
            sizes[key] = len(defined[key].node) + sum(sizes[called] for called in calls[key])
    except CycleError as error:
        ring = " -> ".join("::".join(key[:2]) for key in error.args[1])
        raise InputError(f"a function calls itself: {ring[:200]}") from error
    total = sum(sizes.get(_key(node), 1) for node in all_nodes(model.graph.node))
    if max(total, *sizes.values(), 0) > _LARGEST_EXPANSION:
        raise InputError(f"its functions expand to more than {_LARGEST_EXPANSION} nodes")


def _check_versions(model: onnx.ModelProto) -> None:
    """Refuse a function that cannot be written out where it is called."""
    own = {entry.domain: entry.version for entry in model.opset_import}
    for function in model.functions:
        for entry in function.opset_import:
            if own.get(entry.domain, entry.version) != entry.version:
                raise InputError(
                    f"function {function.domain}::{function.name} is of opset {entry.version}, "
                    f"its graph of {own[entry.domain]}: write it out with onnx.inliner"
                )


def _check_names(graph: onnx.GraphProto) -> None:
    """Refuse what ONNX's checker lets pass: a name given twice, or none."""
    for inner in all_graphs(graph):
        for kind, items in (("input", inner.input), ("initializer", inner.initializer)):
            for name, times in Counter(item.name for item in items).items():
                if times > 1 or not name:
                    raise InputError(f"{times} {kind}s are named {name!r}")


def _judge(model: onnx.ModelProto) -> None:
    """Let ONNX check structure and attributes, then the types that follow; `model` is used up."""
    try:
        with _shaped(model.graph):
            checker.check_model(model)
        declared = _forget_types(model.graph)
        inferred = shape_inference.infer_shapes(model, check_type=True).graph
    except (checker.ValidationError, shape_inference.InferenceError, *_PASSED_ON) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise GraphError(f"no valid graph, export it again: {' '.join(lines)[:300]}") from error
    for value in (*inferred.value_info, *inferred.output):
        _check_size(value)
        computed = value.type.tensor_type.elem_type
        if computed and declared.get(value.name, computed) != computed:
            raise GraphError(
                f"no valid graph, export it again: {value.name!r} is declared "
                f"{_type_name(declared[value.name])}, its node gives {_type_name(computed)}"
            )


def _check_size(value: onnx.ValueInfoProto) -> None:
    """Refuse what would be computed at a size that no machine has, as by an Expand."""
    sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    if math.prod(max(size, 1) for size in sizes) > LARGEST_VALUE:
        shape = " x ".join(str(size or "?") for size in sizes)
        raise GraphError(f"{value.name!r} would hold {shape} numbers, more than {LARGEST_VALUE}")


@contextlib.contextmanager
def _shaped(graph: onnx.GraphProto) -> Iterator[None]:
    """Let inputs have a shape, and outputs a type, which ONNX's checker insists on alone."""
    untyped = [value for value in graph.output if not value.type.WhichOneof("value")]
    for value in untyped:
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    values = [v for v in (*graph.input, *graph.output) if v.type.HasField("tensor_type")]
    open_ones = [v for v in values if not v.type.tensor_type.HasField("shape")]
    for value in open_ones:
        value.type.tensor_type.shape.SetInParent()
    try:
        yield
    finally:
        for value in open_ones:
            value.type.tensor_type.ClearField("shape")
        for value in untyped:
            value.ClearField("type")


def _forget_types(graph: onnx.GraphProto) -> dict[str, int]:
    """Take the declared types of all but inputs away and return the element types."""
    values = (*graph.value_info, *graph.output)
    declared = {value.name: value.type.tensor_type.elem_type for value in values}
    graph.ClearField("value_info")
    for output in graph.output:
        output.ClearField("type")
    return {name: elem_type for name, elem_type in declared.items() if elem_type}


def _type_name(elem_type: int) -> str:
    known = ir.DataType.__members__.values()
    return ir.DataType(elem_type).name.lower() if elem_type in known else f"type {elem_type}"


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy a model, with one element in the place of each large or external tensor.

    ONNX's checks serialise what they are given, twice. Shapes that follow from a weight's are
    lost with it; the checks are of types, which are kept.
    """
    light = _copy_but(model, "graph")
    light.graph.CopyFrom(_copy_but(model.graph, "initializer"))
    light.graph.initializer.extend(_stub(tensor) for tensor in model.graph.initializer)
    for tensor in all_tensors(light):
        if _is_heavy(tensor):
            tensor.CopyFrom(_stub(tensor))
    return light


_Message = TypeVar("_Message", onnx.ModelProto, onnx.GraphProto)


def _copy_but(message: _Message, left_out: str) -> _Message:
    copy = type(message)()
    for field, value in message.ListFields():
        if field.name == left_out:
            continue
        if isinstance(value, int | str | bytes):
            setattr(copy, field.name, value)
        else:
            getattr(copy, field.name).MergeFrom(value)
    return copy


def _is_heavy(tensor: onnx.TensorProto) -> bool:
    return is_external(tensor) or math.prod(tensor.dims) > _SMALL


def _stub(tensor: onnx.TensorProto) -> onnx.TensorProto:
    """Return a small tensor as it is, else one element of its type and rank."""
    if not _is_heavy(tensor):
        return tensor
    stub = onnx.TensorProto(dims=[1] * len(tensor.dims), data_type=tensor.data_type)
    stub.name = tensor.name
    if tensor.data_type == onnx.TensorProto.STRING:
        stub.string_data.append(b"")
    else:
        stub.raw_data = bytes(nbytes(stub))
    return stub


def _key(item: onnx.NodeProto | onnx.FunctionProto) -> _Key:
    name = item.op_type if isinstance(item, onnx.NodeProto) else item.name
    return item.domain, name, item.overload
