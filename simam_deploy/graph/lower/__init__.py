"""The lowerings by name: what can become of the SimAM nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from simam_deploy.errors import UsageError
from simam_deploy.graph.lower.flat import lower_flat
from simam_deploy.graph.lower.function import FUNCTIONS_SINCE, lower_function
from simam_deploy.graph.lower.instance_norm import lower_instance_norm
from simam_deploy.graph.lower.plugin import lower_plugin
from simam_deploy.graph.lower.portable import lower_portable

LOWERINGS: Mapping[str, Callable[[ir.Model], int]] = {
    "portable": lower_portable,
    "flat": lower_flat,
    "function": lower_function,
    "instancenorm": lower_instance_norm,
    "plugin": lower_plugin,
}
WITH_FUNCTIONS = ("function", "plugin")
"""Those that keep the nodes and give them bodies."""


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
        raise UsageError(f"--lowering must be auto, {', '.join(LOWERINGS)}; got {name!r}")
    if name in WITH_FUNCTIONS and opset is not None and opset < FUNCTIONS_SINCE:
        raise UsageError(f"--lowering {name} wants --opset {FUNCTIONS_SINCE} or newer")
    return name
