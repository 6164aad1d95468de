"""The lowerings by name: what can become of the SimAM nodes of a graph, one file each.

A lowering is a function that replaces every SimAM node of a model, in place, and tells how many.
The table is read by `--help` too, which must not wait for onnx_ir: a file is imported when its
lowering is taken.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from simam_deploy.errors import UsageError

if TYPE_CHECKING:
    import onnx_ir as ir

    Lowering = Callable[[ir.Model], int]

_HOMES = {
    "portable": "portable.lower_portable",
    "nopow": "nopow.lower_nopow",
    "flat": "flat.lower_flat",
    "wide": "wide.lower_wide",
    "function": "function.lower_function",
    "instancenorm": "instance_norm.lower_instance_norm",
    "plugin": "plugin.lower_plugin",
}
"""Name -> file and function in this folder."""
WITH_FUNCTIONS = ("function", "plugin")
"""Those that keep the nodes and give them bodies."""
FUNCTIONS_SINCE = 18
"""Opset: the lowest IR version that knows functions, 8, goes with it."""


class _Lowerings(Mapping[str, "Lowering"]):
    """The table, each entry imported when it is asked for."""

    def __getitem__(self, name: str) -> Lowering:
        file, _, function = _HOMES[name].partition(".")
        lowering: Lowering = getattr(importlib.import_module(f"{__name__}.{file}"), function)
        return lowering

    def __contains__(self, name: object) -> bool:
        return name in _HOMES

    def __iter__(self) -> Iterator[str]:
        return iter(_HOMES)

    def __len__(self) -> int:
        return len(_HOMES)


LOWERINGS: Mapping[str, Lowering] = _Lowerings()


def choose_lowering(name: str, opset: int | None) -> str:
    """Give the lowering that `name` stands for; "auto" is the one that every runtime takes.

    Args:
        name: "auto" or a key of `LOWERINGS`.
        opset: What was asked for, None where that is open.

    Raises:
        UsageError: There is none of that name, or the opset is too old for it.
    """
    if name == "auto":
        return "portable"
    if name not in LOWERINGS:
        raise UsageError(
            f"the lowering must be auto, {', '.join(LOWERINGS)}; got {name!r}",
            options=("lowering",),
        )
    if name in WITH_FUNCTIONS and opset is not None and opset < FUNCTIONS_SINCE:
        raise UsageError(
            f"the lowering {name} wants opset {FUNCTIONS_SINCE} or newer, got {opset}",
            options=("lowering", "opset"),
        )
    return name
