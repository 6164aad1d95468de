"""Read what `simam-bench` wrote as JSON: a file that somebody sent, held against the records."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from simam_deploy.bench.records import BenchReport
from simam_deploy.core.manifest import read_json
from simam_deploy.errors import InputError

_MOST = 1e15
"""No time, size or ratio is larger: whoever draws it counts on that."""


def read_bench(path: Path) -> BenchReport:
    """Read a report of `simam-bench`.

    Raises:
        InputError: There is no such file, it cannot be read, or it is no such report.
    """
    document = read_json(path)
    if document is None:
        raise InputError(f"cannot read {path}: no such file")
    try:
        report: BenchReport = _made(BenchReport, document)
    except ValueError as error:
        raise InputError(f"{path} is no report of simam-bench in JSON: {error}") from error
    return report


def _made(kind: Any, value: Any, where: str = "it") -> Any:
    """Make a value of the type that a record gives it.

    Raises:
        ValueError: It is of another.
    """
    if is_dataclass(kind):
        return _record(kind, value, where)
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _one_of(parts, value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_made(parts[0], each, f"{where}[{i}]") for i, each in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        return {key: _made(parts[1], each, f"{where}[{key!r:.40}]") for key, each in value.items()}
    if kind is float and type(value) in (int, float) and abs(value) < _MOST:
        return float(value)
    if kind in (str, int, bool) and type(value) is kind:
        return value
    wanted = getattr(kind, "__name__", str(kind))
    raise ValueError(f"{where} is {value!r:.40}, not of type {wanted}")


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """Make a value of the first type that takes it; the last one's complaint stands."""
    if value is None and types.NoneType in kinds:
        return None
    *others, last = (kind for kind in kinds if kind is not types.NoneType)
    for kind in others:
        try:
            return _made(kind, value, where)
        except ValueError:
            continue
    return _made(last, value, where)


def _record(kind: Any, value: Any, where: str) -> Any:
    """Make a record of an object; what it does not know, as a share worked out, is left aside."""
    if not isinstance(value, dict):
        raise ValueError(f"{where} is {value!r:.40}, not an object")
    hints = typing.get_type_hints(kind)
    known = {f.name: _made(hints[f.name], value[f.name], f"{where}.{f.name}") for f in fields(kind)
             if f.name in value}  # fmt: skip
    try:
        return kind(**known)
    except TypeError as error:
        missing = str(error).rpartition(": ")[2]
        raise ValueError(f"{where} has no {missing}") from error
