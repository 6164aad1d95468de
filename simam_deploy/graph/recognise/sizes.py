"""The input sizes a graph is read at.

A symbolic n is proved by reading the graph with numbers in the place of its symbols, several
times: n and the H, W of its feature map are then integers that either satisfy n = H*W - 1 or not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from itertools import count

import onnx_ir as ir

NEEDED = 3
"""Readings that must agree. Two would let a polynomial of the wrong degree pass."""

_SPATIAL = (
    (97, 161),
    (131, 229),
    (193, 71),
    # A feature pyramid or a U-Net takes multiples of its stride only.
    (128, 192),
    (192, 320),
    (256, 128),
)
"""H and W at each reading. H*W stays below 65505, where an n in fp16 would be inf."""

_FUNCTIONS = {"max": max, "min": min}
_LONGEST_EXPRESSION = 200
_LARGEST = 2**31


class Sizes:
    """One reading: a number for every symbol, and fresh numbers for what has no name.

    Attributes:
        symbols: The number of each.
        varied: Whether any number had to be chosen; where none had, one reading is all there is.
    """

    def __init__(self, symbols: Mapping[str, int], reading: int) -> None:
        self.symbols = symbols
        self._fresh = count(reading)
        # Prime periods, so that two unnamed sizes which meet in one reading part in the next.
        self._period = (89, 97, 101, 103, 107, 109)[reading % len(_SPATIAL)]
        self.varied = bool(symbols)

    def fresh(self) -> int:
        """Return a size in 5 .. 113 for a dimension that nothing is known of."""
        self.varied = True
        return 5 + 31 * next(self._fresh) % self._period

    def numbers(self, shape: ir.Shape) -> tuple[int, ...]:
        """Return `shape` in numbers."""
        return tuple(self._number(dim) for dim in shape)

    def _number(self, dim: int | ir.SymbolicDim) -> int:
        if isinstance(dim, int):
            # Some exporters write 0 or -1 for "unknown".
            return dim if dim > 0 else self.fresh()
        if dim.value is None:
            return self.fresh()
        number = _evaluate(dim.value, self.symbols)
        return number if number is not None and 0 < number < _LARGEST else self.fresh()


def readings(graph: ir.Graph) -> Iterator[Sizes]:
    """Yield the sizes to read `graph` at, the most generally valid first."""
    batch: dict[str, None] = {}
    spatial: dict[str, None] = {}
    for value in graph.inputs:
        for position, dim in enumerate(value.shape or ()):
            if isinstance(dim, ir.SymbolicDim) and dim.value is not None:
                names = dict.fromkeys(_names(dim.value))
                (batch if position == 0 else spatial).update(names)
    for reading, pair in enumerate(_SPATIAL):
        symbols = {name: pair[i % 2] + 32 * (i // 2) for i, name in enumerate(spatial)}
        symbols |= {name: 1 + reading % NEEDED + i for i, name in enumerate(batch)}
        yield Sizes(symbols, reading)


def _names(expression: str) -> list[str]:
    """Return the symbols in a dimension such as "(height - 1)//2 + 1"; itself where it is one."""
    tree = _parse(expression)
    if tree is None:
        return [expression]
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called]


def _parse(expression: str) -> ast.expr | None:
    if len(expression) > _LONGEST_EXPRESSION:
        return None
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None


def _evaluate(expression: str, symbols: Mapping[str, int]) -> int | None:
    """Return the number that a dimension stands for, None where it cannot be told."""
    if expression in symbols:
        return symbols[expression]
    tree = _parse(expression)
    return None if tree is None else _number_of(tree, symbols)


def _number_of(tree: ast.expr, symbols: Mapping[str, int]) -> int | None:
    """Evaluate the integer arithmetic the dynamo exporter writes; the depth is the text's."""
    match tree:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name):
            return symbols.get(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            positive = _number_of(operand, symbols)
            return None if positive is None else -positive
        case ast.BinOp(left=left, op=operator, right=right):
            a, b = _number_of(left, symbols), _number_of(right, symbols)
            return None if a is None or b is None else _combine(operator, a, b)
        case ast.Call(func=ast.Name(id=name), args=[*trees], keywords=[]):
            values = [_number_of(argument, symbols) for argument in trees]
            known = [value for value in values if value is not None]
            function = _FUNCTIONS.get(name.lower())
            return function(known) if function and known and len(known) == len(values) else None
    return None


def _combine(operator: ast.operator, a: int, b: int) -> int | None:
    match operator:
        case ast.Add():
            return a + b
        case ast.Sub():
            return a - b
        case ast.Mult():
            return a * b
        case ast.FloorDiv():
            return a // b if b else None
        case ast.Mod():
            return a % b if b else None
    return None
