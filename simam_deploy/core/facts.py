"""What the facts of an export and of a plan look like: the one table of their types.

A manifest and an .onnx's own metadata state the same facts; whoever reads either holds them
against this table, so that code behind the readers need not ask again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from simam_deploy.core.labels import is_name

LARGEST_SIDE = 4096
"""Pixels a side of a picture: eight of three channels are 1.6 GB as float32."""
_LARGEST_SIZE = 2**31 - 1
_LARGEST_LEVEL = 1e30
"""What a pixel is scaled or moved by: float32, which it becomes, ends at 3e38."""


@dataclass(frozen=True)
class Kind:
    """What a fact must be, in words and as a test."""

    wanted: str
    holds: Callable[[Any], bool]


def _listing(of: Kind, wanted: str) -> Kind:
    return Kind(wanted, lambda v: isinstance(v, list) and all(map(of.holds, v)))


def _record(wanted: str, needed: Mapping[str, Kind], allowed: Mapping[str, Kind]) -> Kind:
    """Take an object that has all of `needed`; what it has of either is of its kind."""
    fields = {**needed, **allowed}

    def holds(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and needed.keys() <= value.keys()
            and all(kind.holds(value[key]) for key, kind in fields.items() if key in value)
        )

    return Kind(wanted, holds)


def _either(*kinds: Kind) -> Kind:
    return Kind(
        " or ".join(kind.wanted for kind in kinds), lambda v: any(kind.holds(v) for kind in kinds)
    )


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high


def _word(*words: str) -> Kind:
    return Kind(" or ".join(words), lambda v: isinstance(v, str) and v in words)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_NULL = Kind("null", lambda v: v is None)
_TEXT = Kind("a text", lambda v: isinstance(v, str))
_SWITCH = Kind("true or false", lambda v: isinstance(v, bool))
_NUMBER = Kind("a number", _is_number)
_LEVEL = Kind("a number", lambda v: _is_number(v) and abs(v) <= _LARGEST_LEVEL)
_COUNT = Kind("a count", _whole(0, 2**63 - 1))
_SIZE = Kind("a size", _whole(1, _LARGEST_SIZE))
_PIXEL = Kind("0 to 255", lambda v: _is_number(v) and 0 <= v <= 255)
_SIDE = Kind("a side", _whole(1, LARGEST_SIDE))
_OBJECT = Kind("an object", lambda v: isinstance(v, dict))
_TEXTS = _listing(_TEXT, "a list of texts")
_SIZES = _listing(_SIZE, "a list of sizes")
_LEVELS = _listing(_LEVEL, "a list of numbers")
_NAMES = _listing(Kind("a name", is_name), "a list of names")
_SHAPE = _listing(_either(_TEXT, Kind("a dimension", _whole(-1, _LARGEST_SIZE))), "a shape")
_FILE = _record(
    "a file with its size and hash", {"name": _TEXT, "size": _COUNT, "sha256": _TEXT}, {}
)
_SITE = _record("a SimAM site", {"name": _TEXT}, {"shape": _SHAPE, "e_lambda": _NUMBER})
_TENSOR = _record("a tensor", {"name": _TEXT, "dtype": _TEXT, "shape": _SHAPE}, {})
_ENDS = {"min": _SIZES, "opt": _SIZES, "max": _SIZES}
_ENTRY = _record("a range", {"name": _TEXT, **_ENDS}, {})
_RANGE = Kind(
    "a range of shapes",
    lambda v: _ENTRY.holds(v) and len({len(v[end]) for end in _ENDS}) == 1 and bool(v["min"]),
)
_TENSORS = _listing(_TENSOR, "a list of tensors")
_PREPROCESSING = _record(
    "the steps that make an input",
    {},
    {
        "kind": _TEXT,
        "color": _word("RGB", "BGR"),
        "keep_ratio": _SWITCH,
        "stretch": _SWITCH,
        "resize": _either(
            _SIDE, Kind("a pair of sides", lambda v: _pair(v) and all(map(_SIDE.holds, v)))
        ),
        "crop": _SIDE,
        "pad": _word("corner", "centre"),
        "pad_value": _PIXEL,
        "pad_divisor": _SIDE,
        "size_input": _TEXT,
        "scale": _LEVEL,
        "mean": _LEVELS,
        "std": _LEVELS,
    },
)


def _pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2


def is_text(kind: Kind) -> bool:
    """Tell a fact that is a text, which an .onnx's metadata hold as it is and not as JSON."""
    return kind is _TEXT


FACTS: Mapping[str, Kind] = {
    # of every artifact
    "files": Kind(
        "a list of files with their hashes",
        lambda v: isinstance(v, list) and bool(v) and all(map(_FILE.holds, v)),
    ),
    "arch": _TEXT,
    "e_lambda": _either(_NUMBER, _NULL),
    "e_lambda_source": _TEXT,
    "simam_sites": _listing(_SITE, "a list of SimAM sites"),
    "lowering": _TEXT,
    "precision": _TEXT,
    "classes": _NAMES,
    "preprocessing": _either(_PREPROCESSING, _NULL),
    "smallest_input": _SIZES,
    "source": _either(_OBJECT, _NULL),
    "validation": _OBJECT,
    "notes": _TEXTS,
    "contradictions": _TEXTS,
    "tools": _OBJECT,
    # of an .onnx
    "opset": _COUNT,
    "num_outputs": _either(_COUNT, _NULL),
    "attention": _TEXT,
    "detector": _OBJECT,
    "calibration": _OBJECT,
    "kept_in_float32": _TEXTS,
    # of a plan
    "flavour": _TEXT,
    "version": _TEXT,
    "targets": _TEXTS,
    "tf32": _SWITCH,
    "workspace": _either(_COUNT, _NULL),
    "profiles": _listing(_listing(_RANGE, "a list of ranges"), "a list of profiles"),
    "inputs": _TENSORS,
    "outputs": _TENSORS,
    "onnx": _OBJECT,
    "plugin": _either(
        _record("a library with its hash", {"file": _TEXT, "sha256": _TEXT}, {}), _NULL
    ),
    "audit": _OBJECT,
    "build": _record(
        "what building took",
        {},
        {"seconds": _NUMBER, "peak_memory": _COUNT, "warnings": _TEXTS},
    ),
    "gpu": _either(_record("a device", {}, {"name": _TEXT, "sm": _TEXT}), _NULL),
    "command": _TEXT,
    "exported_from": _either(_OBJECT, _NULL),
    "metadata": _OBJECT,
    "onnx_validation": _OBJECT,
    # of an .onnx around a plan
    "epcontext": _record(
        "the provider and the plan's hash", {"provider": _TEXT, "plan": _TEXT}, {}
    ),
}
"""Every fact that code reads, and some that only people do."""
