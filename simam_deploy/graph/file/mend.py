"""Put right in a message what runtimes take and ONNX's checks, or the steps behind them, do not.

Rules:
    1. Nodes that stand before what they read are sorted, in nested graphs and functions too: a
       conversion to half that appends its Casts leaves them so. A circle stays, to be refused.
    2. Below IR version 4 every initializer must stand among the inputs as well, and nobody can
       give it: it is an initializer alone, and the version 4.
    3. A negative size is what some exporters write for a free one, and 0 in an input, which no run
       could be given: that of an input gets a name, "batch" where it is the first, and any other
       is left open. Where no input has a 0, one elsewhere is an empty tensor's, and stays.
    4. Nodes of one name in one graph, which ONNX Runtime refuses, are numbered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

import onnx

from simam_deploy.graph.file.tensors import all_graphs, nested_graphs

INITIALIZERS_ALONE_SINCE = 4
"""The IR version from which an initializer need not be an input, and may be overridden if it is."""


def mend(model: onnx.ModelProto) -> tuple[str, ...]:
    """Apply the rules in place.

    Args:
        model: Its header and texts have been checked.

    Returns:
        A line for each rule that changed something of which whoever uses the file should know.
    """
    _part_initializers(model)
    graphs = [*all_graphs(model.graph), *_of_functions(model)]
    lists = [graph.node for graph in graphs] + [function.node for function in model.functions]
    done = {
        "nodes that stood before what they read, sorted": sum(map(_sort, lists)),
        "sizes below 1, taken as free ones": sum(_free(g, _least(model.graph)) for g in graphs),
        "nodes of one name, numbered": sum(map(_number, lists)),
    }
    return tuple(f"{line}: {count}" for line, count in done.items() if count)


def _of_functions(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    for function in model.functions:
        for graph in nested_graphs(function.node):
            yield from all_graphs(graph)


def _part_initializers(model: onnx.ModelProto) -> None:
    """Rule 2."""
    if model.ir_version >= INITIALIZERS_ALONE_SINCE:
        return
    stored = {tensor.name for tensor in model.graph.initializer}
    for index in reversed(range(len(model.graph.input))):
        if model.graph.input[index].name in stored:
            del model.graph.input[index]
    model.ir_version = INITIALIZERS_ALONE_SINCE


def _sort(nodes: Any) -> int:
    """Rule 1; counts the nodes that stood wrong."""
    makers = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    needs = {
        i: {makers[name] for name in _reads(node) if name in makers} for i, node in enumerate(nodes)
    }
    wrong = sum(max(needed, default=-1) > i for i, needed in needs.items())
    if wrong:
        try:
            order = list(TopologicalSorter(needs).static_order())
        except CycleError:
            return 0
        places = iter(sorted(range(len(order)), key=order.__getitem__))
        nodes.sort(key=lambda _: next(places))
    return wrong


def _reads(node: onnx.NodeProto) -> set[str]:
    """Name what a node reads, and what the graphs nested in it take from outside."""
    inner = [graph for nested in nested_graphs([node]) for graph in all_graphs(nested)]
    read = {name for graph in inner for n in graph.node for name in n.input}
    read |= {value.name for graph in inner for value in graph.output}
    made = {name for graph in inner for n in graph.node for name in n.output}
    made |= {item.name for graph in inner for item in (*graph.input, *graph.initializer)}
    return {*node.input, *(read - made)}


def _least(graph: onnx.GraphProto) -> int:
    """Give the least size that is one: 1 where something that is to be given has a 0."""
    stored = {tensor.name for tensor in graph.initializer}
    given = [value.type.tensor_type.shape for value in graph.input if value.name not in stored]
    sizes = (dim for shape in given for dim in shape.dim if dim.HasField("dim_value"))
    return int(any(dim.dim_value == 0 for dim in sizes))


def _free(graph: onnx.GraphProto, least: int) -> int:
    """Rule 3; counts the sizes."""
    count = 0
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.HasField("dim_value") and dim.dim_value < least:
                count += 1
                dim.Clear()
                if value in graph.input:
                    dim.dim_param = f"{value.name}_{axis}" if axis else "batch"
    return count


def _number(nodes: Sequence[onnx.NodeProto]) -> int:
    """Rule 4; counts the nodes."""
    taken, count = {node.name for node in nodes}, 0
    seen: set[str] = set()
    for node in nodes:
        if node.name and node.name in seen:
            count += 1
            number = count
            while (name := f"{node.name}_{number}") in taken:
                number += 1
            node.name = name
            taken.add(name)
        seen.add(node.name)
    return count
