"""Configurations that are written as Python: their literals, found without running anything.

`ast` parses, and of the tree only what stands for itself is read: numbers, texts, lists, dicts,
`dict(...)`, names of literals above, sums and products of numbers. Whatever else there is counts as
not said, though `Literals` knows that it was there; and a name that a statement may have changed
(an item set, a loop, a call) is forgotten.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

MAKERS = ("dict", "Namespace", "SimpleNamespace", "AttributeDict", "ConfigDict", "Config")
"""What makes a mapping of its keywords: `str(args)` reads "Namespace(lr=0.1, ...)"."""
_GREATEST = 2**63 - 1
"""Of an integer: products of names could double the digits line by line."""
_OPERATIONS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
_UNKNOWN = object()


class Literals(dict[Any, Any]):
    """A dict that was read: of what it would hold, that which is literal.

    Attributes:
        unread: The names of the rest.
    """

    def __init__(self, values: Mapping[Any, Any]) -> None:
        super().__init__({key: value for key, value in values.items() if value is not _UNKNOWN})
        self.unread = frozenset(values.keys() - self.keys())


def read_python(text: str) -> object:
    """Read the one literal that a text is, or what its assignments give names to.

    Args:
        text: Bounded by the caller: 256 KiB take 0.4 s and 100 MB at worst.

    Returns:
        The literal, tuples as lists; or a dict by name; None where there is neither. An item of a
        list that is no literal is None.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on escapes: nothing the user can act upon
            body = ast.parse(text).body
        if len(body) == 1 and isinstance(body[0], ast.Expr):
            value = _value(body[0].value, {})
            return None if value is _UNKNOWN else value
        return _assigned(body) or None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # ValueError: a null byte. The others: the parser's own bounds on nesting.
        return None


def _assigned(body: list[ast.stmt]) -> Literals:
    """Go through statements from top to bottom."""
    names: dict[str, Any] = {}
    for statement in body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            continue
        target, value = _assignment(statement)
        if target is None:
            changed = names.keys() & set(_mentioned(statement))
            names |= dict.fromkeys(changed, _UNKNOWN)
        else:
            names[target] = _value(value, names)
    return Literals(names)


def _assignment(statement: ast.stmt) -> tuple[str | None, ast.expr]:
    """Give the name and the value of a plain assignment; no name where it is none."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        target, value = statement.target, statement.value
    else:
        return None, ast.Constant(None)
    return (target.id if isinstance(target, ast.Name) else None), value


def _mentioned(statement: ast.stmt) -> Iterator[str]:
    return (node.id for node in ast.walk(statement) if isinstance(node, ast.Name))


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Evaluate a literal; `_UNKNOWN` where it is none."""
    reader = _READERS.get(type(node))
    return reader(node, names) if reader else _UNKNOWN


def _constant(node: Any, _: Mapping[str, Any]) -> Any:
    return (
        _bounded(node.value)
        if isinstance(node.value, (bool, int, float, str, type(None)))
        else _UNKNOWN
    )


def _name(node: Any, names: Mapping[str, Any]) -> Any:
    return names.get(node.id, _UNKNOWN)


def _listing(node: Any, names: Mapping[str, Any]) -> Any:
    values = [_value(item, names) for item in node.elts]
    return [None if value is _UNKNOWN else value for value in values]


def _mapping(node: Any, names: Mapping[str, Any]) -> Any:
    pairs = zip(node.keys, node.values, strict=True)
    keyed = {k.value: _value(v, names) for k, v in pairs if isinstance(k, ast.Constant)}
    return Literals(keyed)


def _call(node: Any, names: Mapping[str, Any]) -> Any:
    maker = getattr(node.func, "id", getattr(node.func, "attr", None))
    if maker not in MAKERS or node.args:
        return _UNKNOWN
    keyed = {k.arg: _value(k.value, names) for k in node.keywords if k.arg is not None}
    return Literals(keyed)


def _signed(node: Any, names: Mapping[str, Any]) -> Any:
    value = _value(node.operand, names)
    if not isinstance(node.op, (ast.USub, ast.UAdd)) or not _is_number(value):
        return _UNKNOWN
    return -value if isinstance(node.op, ast.USub) else value


def _operation(node: Any, names: Mapping[str, Any]) -> Any:
    left, right = _value(node.left, names), _value(node.right, names)
    operation = _OPERATIONS.get(type(node.op))
    if operation is None or not (_is_number(left) and _is_number(right)):
        return _UNKNOWN
    try:
        return _bounded(operation(left, right))
    except (ZeroDivisionError, OverflowError):
        return _UNKNOWN


_READERS: Mapping[type[ast.expr], Callable[[Any, Mapping[str, Any]], Any]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.List: _listing,
    ast.Tuple: _listing,
    ast.Dict: _mapping,
    ast.Call: _call,
    ast.UnaryOp: _signed,
    ast.BinOp: _operation,
}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _bounded(value: Any) -> Any:
    """Give a value; of numbers only those that 64 bits hold and that are finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else _UNKNOWN
    if isinstance(value, int) and not -_GREATEST <= value <= _GREATEST:
        return _UNKNOWN
    return value
