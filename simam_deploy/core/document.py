"""Documents that others may have written: bounded, of plain values, or a clear reason why not."""

from __future__ import annotations

import json
import math
from typing import Any

LARGEST = 1 << 24
"""Bytes of a document that will be read; ours have some 20 kB, and Python makes 4 of each."""
_DEEPEST = 32
"""Objects within objects; ours have 5."""
_GREATEST = 2**63 - 1
"""Of an integer: who passes a document on may have no larger ones."""


def parse_json(content: bytes | str, most: int = LARGEST) -> Any:
    """Read a JSON document of at most `most` bytes.

    Raises:
        ValueError: It is none, or holds what JSON does not know (NaN, half a surrogate pair), a
            number beyond 64 bits, or more than 32 levels or `most`; the text says which.
    """
    if len(content) > most:
        raise ValueError(f"it has over {most >> 20} MiB")
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        document = json.loads(text, parse_constant=_constant, parse_float=_number)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is damaged, it holds no JSON: {error}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _check(document, 0)
    return document


def parse_yaml(text: str, most: int) -> Any:
    """Read a YAML document of at most `most` characters: texts, lists and dicts.

    No tag, merge or class is looked at, and every scalar is the text that it is: none becomes a
    date, or a number of a million digits. An alias is the very value that it names.

    Raises:
        ValueError: It is none; the text says why.
    """
    import yaml

    if len(text) > most:
        raise ValueError(f"it has over {most >> 10} KiB")
    try:
        return yaml.BaseLoader(text).get_single_data()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # The last two: PyYAML's own, of an escape beyond Unicode.
        raise ValueError(f"it holds no YAML: {' '.join(str(error).split())}") from None


def _constant(name: str) -> float:
    raise ValueError(f"it holds {name}, which JSON does not know")


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"it holds the number {text:.20}, which is too large")
    return number


def _check(value: Any, depth: int) -> None:
    """Refuse what would fail where it is written again: see `parse_json`."""
    if depth > _DEEPEST:
        raise ValueError("it is nested too deeply")
    if isinstance(value, dict):
        for key, item in value.items():
            _check(key, depth)
            _check(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, int) and abs(value) > _GREATEST:
        raise ValueError("it holds an integer beyond 64 bits")
    elif isinstance(value, str) and not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("it holds half a surrogate pair") from None
