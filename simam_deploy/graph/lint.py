"""Habits of exporters that cost speed, size or compatibility. Each rule is a function."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx_ir as ir

from simam_deploy.core.inspection import LintFinding
from simam_deploy.graph.hazards import area_of
from simam_deploy.graph.passes.fold_bn import conv_of
from simam_deploy.graph.recognise import Findings, Site
from simam_deploy.op import contract

_SHAPE_ARITHMETIC = frozenset(
    ("Add", "Cast", "Concat", "Gather", "Identity", "Max", "Mul", "ReduceProd", "Size", "Slice",
     "Squeeze", "Sub", "Unsqueeze")
)  # fmt: skip


def lint(model: ir.Model, findings: Findings) -> tuple[LintFinding, ...]:
    """List what could be better in a graph, in the order of `_RULES`.

    Args:
        model: Read only.
        findings: What recognition said of it.
    """
    found = [LintFinding("unfolded-n", tuple(_unfolded(findings)), _UNFOLDED)]
    for rule, (places_of, message) in _RULES.items():
        found.append(LintFinding(rule, tuple(places_of(model)), message))
    return tuple(finding for finding in found if finding.places)


_UNFOLDED = (
    "n = H*W - 1 is computed by a Shape chain although H and W are fixed; `simam-export` folds it"
)


def _unfolded(findings: Findings) -> Iterator[str]:
    for site in findings.sites:
        if area_of(site) is not None and _reads_a_shape(site):
            yield site.name


def _reads_a_shape(site: Site) -> bool:
    """Tell whether arithmetic on a Shape leads into the site."""
    inside = set(site.nodes)
    pending = list(site.nodes)
    seen = set(pending)
    while pending:
        node = pending.pop()
        if node.op_type == "Shape":
            return not _is_of_reshape(node)
        for value in node.inputs:
            producer = None if value is None or value is site.x else value.producer()
            follow = producer in inside or _is_shape_arithmetic(producer)
            if producer is not None and producer not in seen and follow:
                seen.add(producer)
                pending.append(producer)
    return False


def _is_shape_arithmetic(node: ir.Node | None) -> bool:
    return node is not None and node.domain == "" and node.op_type in {*_SHAPE_ARITHMETIC, "Shape"}


def _is_of_reshape(shape: ir.Node) -> bool:
    """Tell whether a Shape only tells a Reshape or Expand its target."""
    pending, seen = [shape], {shape}
    while pending:
        for value in pending.pop().outputs:
            for use in value.uses():
                if use.node.op_type in ("Reshape", "Expand"):
                    continue
                if not _is_shape_arithmetic(use.node):
                    return False
                if use.node not in seen:
                    seen.add(use.node)
                    pending.append(use.node)
    return True


def _shape_chains(model: ir.Model) -> Iterator[str]:
    """Name each Shape whose result is taken apart again."""
    for node in _nodes(model, "Shape"):
        if any(_is_shape_arithmetic(user) for user in node.outputs[0].consumers()):
            yield _name(node)


def _squares(model: ir.Model) -> Iterator[str]:
    for node in _nodes(model, "Pow"):
        exponent = node.inputs[1]
        tensor = None if exponent is None else ir.convenience.get_const_tensor(exponent)
        if tensor is not None and tensor.size == 1 and float(tensor.numpy().reshape(-1)[0]) == 2:
            yield _name(node)


def _double_casts(model: ir.Model) -> Iterator[str]:
    for node in _nodes(model, "Cast"):
        source = node.inputs[0].producer() if node.inputs[0] is not None else None
        if source is not None and source.domain == "" and source.op_type == "Cast":
            yield _name(node)


def _idle(model: ir.Model) -> Iterator[str]:
    yield from (_name(node) for node in _nodes(model, "Identity"))
    for node in _nodes(model, "Dropout"):
        training = node.inputs[2] if len(node.inputs) > 2 else None
        if training is None or (training.const_value and not training.const_value.numpy().any()):
            yield _name(node)


def _foldable(model: ir.Model) -> Iterator[str]:
    for node in model.graph:
        if node.domain == "" and node.op_type == "BatchNormalization" and any(conv_of(node)):
            yield _name(node)


def _unread(model: ir.Model) -> Iterator[str]:
    for graph in (model.graph, *model.graph.subgraphs()):
        for name, value in graph.initializers.items():
            if not value.uses() and not value.is_graph_output():
                yield name


def _bodiless(model: ir.Model) -> Iterator[str]:
    for node in model.graph.all_nodes():
        if node.domain == contract.DOMAIN and node.op_identifier() not in model.functions:
            yield _name(node)


_RULES: dict[str, tuple[Callable[[ir.Model], Iterator[str]], str]] = {
    "shape-chain": (
        _shape_chains,
        "sizes are computed at run time; onnxsim folds what is fixed, a static export all of them",
    ),
    "pow": (
        _squares,
        "Pow by 2, which RKNN does not take; Mul(d, d) is the same, and faster: the lowering nopow "
        "writes it",
    ),
    "double-cast": (_double_casts, "a Cast of a Cast; one of them is enough, or none"),
    "idle": (_idle, "Identity or Dropout, which does nothing in inference; remove it"),
    "foldable-bn": (_foldable, "BatchNormalization that folds into the convolution beside it"),
    "unused-initializer": (_unread, "weights that no node reads; remove them"),
    "no-function-body": (
        _bodiless,
        f"{contract.DOMAIN} nodes without a function body run only where a plugin is loaded; "
        "`simam-export` lowers them",
    ),
}


def _nodes(model: ir.Model, op_type: str) -> Iterator[ir.Node]:
    for node in model.graph.all_nodes():
        if node.domain == "" and node.op_type == op_type:
            yield node


def _name(node: ir.Node) -> str:
    return node.name or node.outputs[0].name or node.op_type
