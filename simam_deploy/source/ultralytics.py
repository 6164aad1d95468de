"""A network of ultralytics' or YOLOv5's: exported as its own exporter does, read by its predictor.

Such a network is told by what it has, and the package is never imported: so a fork's counts too,
and one that a factory makes. What the exporter sets and writes, and what the predictor reads, was
taken from ultralytics 8.4; what a file of it says of its pictures is read by `source.stated.yolo`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from simam_deploy.source.options import NetworkOptions
from simam_deploy.source.unwrap import heads_of

_INPUT, _OUTPUT = "images", "output0"
"""What its exporter calls them."""
_FREE_BATCH = (
    "ultralytics' predictor takes a free batch for free height and width: tell it imgsz, rect=False"
)
_TASKS = ("classify", "semantic", "segment", "pose", "obb", "detect")
"""Words in the names of heads' classes; the first that is there."""
_ALSO_READ = ("kpt_shape", "kpt_names")
"""What the predictor of poses wants besides."""


def ready_to_export(
    network: nn.Module, options: NetworkOptions
) -> tuple[NetworkOptions, tuple[str, ...]]:
    """Have a network in float32 whose heads give what its own exporter writes.

    Args:
        network: Any network, its export flags set; another kind is left as it is.
        options: What is said of it.

    Returns:
        The options, with its exporter's name of the input, and all dimensions fixed unless they are
        asked to be free, as there: off a free batch its predictor reads that height and width are
        free as well, and feeds it other sizes. What a user should know.
    """
    if not _is_of_its_kind(network):
        return options, ()
    network.float()  # halves are what its trainer stores, and nothing that it computes in
    # Without a shape a head makes the grid of its cells anew, not of the last picture it saw.
    flags = {"format": "onnx", "dynamic": options.dynamic == "hw", "shape": None}
    for head in heads_of(network).values():
        for name, value in flags.items():
            setattr(head, name, value)
    names = None if options.inputs else options.input_names or (_INPUT,)
    free = (_FREE_BATCH,) if options.dynamic == "batch" else ()
    return replace(options, input_names=names, dynamic=options.dynamic or "none"), free


def output_names(network: nn.Module, result: Any) -> tuple[str, ...] | None:
    """Call the only output as its own exporter does; several are called alike anyway."""
    single = isinstance(result, torch.Tensor) and _is_of_its_kind(network)
    return (_OUTPUT,) if single else None


def metadata(network: nn.Module, shape: tuple[int, ...], options: NetworkOptions) -> dict[str, str]:
    """Write what its own predictor reads off an .onnx, under its keys; nothing of other networks.

    Args:
        network: The network.
        shape: Of its input (N, C, H, W).
        options: As `ready_to_export` gave them.

    Returns:
        Each value as a Python literal, by key.
    """
    if not _is_of_its_kind(network) or len(shape) != 4:
        return {}
    batch, channels, *size = shape
    said = {
        "task": _task(network),
        "stride": _stride(network),
        "names": _names(network),
        "imgsz": size,
        "batch": batch,
        "channels": channels,
        "end2end": any(getattr(head, "end2end", False) for head in heads_of(network).values()),
        "args": {"batch": batch, "dynamic": options.dynamic == "hw"},
        **{key: getattr(network, key) for key in _ALSO_READ if hasattr(network, key)},
    }
    return {key: str(value) for key, value in said.items()}


def _is_of_its_kind(network: nn.Module) -> bool:
    """Tell by the strides, the names of classes, and a head that knows of exports."""
    return bool(_stride(network) and _names(network) and heads_of(network))


def _stride(network: nn.Module) -> int:
    """Read the largest stride; 0 where there is none."""
    strides = getattr(network, "stride", None)
    return int(strides.max()) if isinstance(strides, torch.Tensor) and strides.numel() else 0


def _names(network: nn.Module) -> dict[int, str]:
    """Read the names of classes, which are a list or by number."""
    said = getattr(network, "names", None)
    names = dict(enumerate(said)) if isinstance(said, (list, tuple)) else said
    if not isinstance(names, Mapping) or not all(isinstance(number, int) for number in names):
        return {}
    return {number: str(name) for number, name in names.items()}


def _task(network: nn.Module) -> str:
    """Read the task, or tell it by the class of the last head."""
    said: Any = getattr(network, "args", None)  # a dict, or a namespace
    args = said if isinstance(said, Mapping) else getattr(said, "__dict__", {})
    *_, head = heads_of(network).values()
    kinds = " ".join(kind.__name__.lower() for kind in type(head).__mro__)
    told = next((task for task in _TASKS if task in kinds), "detect")
    return str(getattr(network, "task", None) or args.get("task") or told)
