"""How far a SimAM reaches: its x and y, the nodes between them, its name."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import onnx_ir as ir

from simam_deploy.graph.recognise.scan import Candidate
from simam_deploy.graph.recognise.scene import Scene

_SCOPES = "pkg.torch.onnx.name_scopes"
"""Where the dynamo exporter notes the modules of a node, outermost first, the node itself last."""
_LONGEST_SCOPES = 4096
_MOST_VIEWS = 4
"""A cast and a reshape, and as many again."""
_VIEWS = ("Cast", "CastLike", "Reshape", "Flatten", "Squeeze", "Unsqueeze")


def ends(candidate: Candidate, scene: Scene) -> tuple[ir.Value, ir.Value] | None:
    """Return x and y, of one shape and dtype; None if y is never (N, C, H, W).

    They are the feature map and what has its shape and dtype again, where the Casts and Reshapes
    in between serve nothing else; otherwise the two sides of the product, with Casts outside.
    For a gate, dtype and shape of y may be others.
    """
    root, product = candidate.root, candidate.node.outputs[0]
    wanted = scene.facts.dtype(root), scene.shape(root)
    for y in [product, *_views_behind(product, scene)]:
        if (scene.facts.dtype(y), scene.shape(y)) == wanted:
            return root, y
    if candidate.x is None:
        return root, product
    return (candidate.x, product) if scene.shape(product) == wanted[1] else None


def _views_behind(value: ir.Value, scene: Scene) -> list[ir.Value]:
    """Return the casts and reshapes of `value`, as long as each serves only the next."""
    views: list[ir.Value] = []
    while len(views) < _MOST_VIEWS and not value.is_graph_output():
        users = value.consumers()
        if len(users) != 1:
            break
        user = users[0]
        is_view = scene.facts.is_valid(user) and user.op_type in _VIEWS
        if not is_view or user.inputs[0] is not value or user.graph is not value.graph:
            break
        value = user.outputs[0]
        if not scene.facts.dtype(value).is_floating_point():
            break
        views.append(value)
    return views


def dying(x: ir.Value, y: ir.Value) -> tuple[ir.Node, ...]:
    """Return the nodes that nothing needs once y comes from x by another way, last node first."""
    doomed: dict[ir.Node, None] = {}
    pending: list[ir.Value | None] = [y]
    while pending:
        value = pending.pop()
        node = None if value is None or value is x else value.producer()
        if node is None or node in doomed or not (value is y or _is_idle(node, doomed)):
            continue
        doomed[node] = None
        pending.extend(node.inputs)
    return tuple(doomed)


def _is_idle(node: ir.Node, without: dict[ir.Node, None]) -> bool:
    """Tell whether nothing but the nodes in `without` uses the outputs of `node`."""
    return not any(
        value.is_graph_output() or any(user not in without for user in value.consumers())
        for value in node.outputs
    )


def is_island(x: ir.Value, y: ir.Value, candidate: Candidate, scene: Scene) -> bool:
    """Tell whether a cast between floating types lies on a way from x to y."""
    seen: set[ir.Node] = set()
    pending: list[ir.Value | None] = [y]
    while pending:
        value = pending.pop()
        node = None if value is None or value is x else value.producer()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.op_type in ("Cast", "CastLike") and _changes_float(node, scene):
            return True
        if value in scene.forms or node is candidate.node:
            pending.extend(v for v in node.inputs if v in scene.forms)
        else:
            pending.extend(node.inputs[:1])
    return False


def _changes_float(node: ir.Node, scene: Scene) -> bool:
    source = node.inputs[0]
    if source is None:
        return False
    before, after = scene.facts.dtype(source), scene.facts.dtype(node.outputs[0])
    return before.is_floating_point() and after.is_floating_point() and before != after


def name_of(node: ir.Node) -> str:
    """Return the torch module that `node` was exported from, else the name of the node."""
    text = node.metadata_props.get(_SCOPES, "")
    try:
        scopes = ast.literal_eval(text) if 0 < len(text) < _LONGEST_SCOPES else None
    except (SyntaxError, ValueError):
        scopes = None
    if isinstance(scopes, list) and len(scopes) > 1 and isinstance(scopes[-2], str) and scopes[-2]:
        return scopes[-2]
    return _owner(node) or node.outputs[0].name or node.op_type


def _owner(node: ir.Node) -> str:
    """Return the name of `node` without its own role: "attention/Mul_1" is of "attention"."""
    head, _, role = (node.name or "").rpartition("/")
    own = role.startswith(node.op_type) and role[len(node.op_type) :].strip("_0123456789") == ""
    return head.strip("/") if head.strip("/") and own else node.name or ""


def distinct(names: Sequence[str]) -> list[str]:
    """Return `names` with a number behind each that was there before."""
    count: dict[str, int] = {}
    unique: dict[str, None] = {}
    for name in names:
        candidate = name
        while candidate in unique:
            count[name] = count.get(name, 1) + 1
            candidate = f"{name}_{count[name]}"
        unique[candidate] = None
    return list(unique)
