"""Walk a network's forward, and write what each step of it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
from torch import fx, nn

from simam_deploy.core.specs import TensorSpec
from simam_deploy.graph.passes.opset import NATIVE
from simam_deploy.models.attention.simam import SimAM
from simam_deploy.op import contract
from simam_deploy.source.direct import functions, modules
from simam_deploy.source.direct.extents import Unknown
from simam_deploy.source.direct.sheet import Sheet
from simam_deploy.source.ends import name_ends

_IR_VERSION = 10
"""What torch.onnx gives its graphs; a file has the lowest that its opset allows."""


class _Tracer(fx.Tracer):
    """Goes into every module but torch's own and SimAM."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, SimAM) or super().is_leaf_module(module, name)


def graph_of_modules(
    network: nn.Module, spec: TensorSpec, output_names: Sequence[str] | None, opset: int
) -> ir.Model:
    """Write the graph of a network of one input.

    Args:
        network: In eval mode.
        spec: Its input, float32; dimensions given by name are free.
        output_names: What its outputs shall be called; None leaves them as they are.
        opset: Version of the default domain; below 18 the graph is written in 18.

    Returns:
        The graph that `source.trace` makes, but for names inside.

    Raises:
        Unknown: A step of it is not known here.
    """
    sheet = Sheet({**dict(network.named_parameters()), **dict(network.named_buffers())})
    x = ir.val(spec.name, dtype=ir.DataType.FLOAT, shape=ir.Shape(spec.shape))
    results = _Walk(network, sheet, x).results()
    domains = {"": max(opset, NATIVE), contract.DOMAIN: contract.OP_VERSION}
    graph = ir.Graph(
        [x], results, nodes=sheet.nodes, initializers=list(sheet.initializers.values()),
        opset_imports=domains, name="main_graph",
    )  # fmt: skip
    model = ir.Model(graph, ir_version=_IR_VERSION)
    name_ends(model, [spec.name], output_names or [value.name or "" for value in results])
    return model


class _Walk:
    """One walk; each value, and its node, is named by the step that it comes from."""

    def __init__(self, network: nn.Module, sheet: Sheet, x: ir.Value) -> None:
        self._parts = dict(network.named_modules())
        self._steps = _Tracer().trace(network).nodes
        self._sheet = sheet
        self._found: dict[fx.Node, ir.Value] = {}
        self._x = x
        self._sites: set[str] = set()

    def results(self) -> list[ir.Value]:
        """Write every step; give what the network returns.

        Raises:
            Unknown: A step, or the form of the result, is not known.
        """
        for step in self._steps:
            if step.op == "output":
                return self._returned(step.args[0])
            self._found[step] = self._x if step.op == "placeholder" else self._write(step)
        raise Unknown("no result")

    def _returned(self, result: Any) -> list[ir.Value]:
        steps = [result] if isinstance(result, fx.Node) else result
        if not isinstance(steps, (list, tuple)) or not all(isinstance(s, fx.Node) for s in steps):
            raise Unknown(f"a result of {type(result).__name__}")
        values = [self._found[step] for step in steps]
        if len(set(values)) != len(values) or self._x in values:
            raise Unknown("a result that is another, or the input")
        return values

    def _write(self, step: fx.Node) -> ir.Value:
        given: Any = fx.map_arg(step.args, self._value)
        named: Any = fx.map_arg(step.kwargs, self._value)
        before = len(self._sheet.nodes)
        if step.op == "call_module":
            value = self._write_module(str(step.target), given, named)
        elif step.op in ("call_function", "call_method"):
            value = _writer(functions.WRITERS, step.target)(self._sheet, *given, **named)
        else:
            raise Unknown(f"{step.op} {step.target}")
        for node in self._sheet.nodes[before:]:
            node.outputs[0].name = node.outputs[0].name or step.name
            node.name = node.name or step.name
        return value

    def _value(self, step: fx.Node) -> Any:
        return self._found[step]

    def _write_module(self, path: str, given: Any, named: Any) -> ir.Value:
        module = self._parts[path]
        if len(given) != 1 or named:
            raise Unknown(f"{path} called with more than a map")
        value: ir.Value = _writer(modules.WRITERS, type(module))(self._sheet, module, *given)
        if isinstance(module, SimAM):
            self._name_site(path, self._sheet.nodes[-1])
        return value

    def _name_site(self, path: str, node: ir.Node) -> None:
        """Name a SimAM by its module, and by a number besides where that is called again.

        Its output's name, by which those of all that it is lowered to begin, is short: 40 bytes of
        a path in each made a file of 9 sites 5 KB larger. No step's name has a dot.
        """
        count = len(self._sites)
        node.name = path if path not in self._sites else f"{path}_{count}"
        node.outputs[0].name = f"simam.{count}"
        self._sites.add(node.name)


def _writer(table: Any, key: Any) -> Any:
    try:
        return table[key]
    except KeyError:
        raise Unknown(str(key)) from None
