"""Values of every wrong type, for each fact that a manifest or an .onnx states."""

from collections.abc import Iterator
from typing import Any

from simam_deploy.core.facts import FACTS

WRONG = [
    5, -1, 2**63 - 1, True, 0.5, "text", "", [], [1], [-1], ["a", 1], [[]], [{}], [None],
    {}, {"name": 5}, [{"name": 5}], [[{"name": "x"}]], None, "\x1b[2J\n", [1e300, 1e300],
    {"kind": "image"}, {"kind": "image", "resize": 0, "mean": [], "std": []},
    {"kind": "image", "resize": "8", "scale": "1", "mean": "abc", "std": {}},
    {"kind": "image", "resize": 8, "crop": 10**9, "scale": 1, "mean": [0], "std": [1]},
    [[{"name": "x", "min": [], "opt": [], "max": []}]], [{"name": "m.onnx"}],
    {"file": 1, "sha256": 2}, {"sm": 89}, {"warnings": 5},
]  # fmt: skip


def wrong_for(key: str) -> Iterator[Any]:
    """Give the values that `key` cannot have; what it can have is tried by `all_for`."""
    return (value for value in WRONG if not FACTS[key].holds(value))
