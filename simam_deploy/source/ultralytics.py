"""A network of ultralytics' or YOLOv5's: exported as its own exporter does, read by its predictor.

Such a network is told by what it has, and the package is never imported: so a fork's counts too,
and one that a factory makes. What its exporter sets and writes, and what its predictor reads, was
taken from ultralytics 8.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from simam_deploy.source.options import NetworkOptions

INPUT, OUTPUT = "images", "output0"
"""What its exporter calls them."""
_USUAL_SIZE = 640
"""Pixels a side, where nothing says what the network was trained at."""
_TASKS = ("classify", "semantic", "segment", "pose", "obb", "detect")
"""Words in the names of heads' classes; the first that is there."""
_ALSO_READ = ("kpt_shape", "kpt_names")
"""What the predictor of poses wants besides."""


def take_arguments(network: nn.Module, tree: Any) -> None:
    """Tell a network saved whole what it was trained with, as the loader of its kind does."""
    said = tree.get("train_args") if isinstance(tree, Mapping) else None
    if said and is_of_its_kind(network):
        setattr(network, "args", said)


def ready_to_export(network: nn.Module, options: NetworkOptions) -> NetworkOptions:
    """Have a network's heads give what its own exporter writes, and say what it takes.

    Args:
        network: Any network; another kind is left as it is.
        options: What is said of it.

    Returns:
        The options, completed by the input's name and its shape: 1 x C x H x W, of the image size
        that the network was trained at. All of it is fixed: off a free batch, its own predictor
        reads that height and width are free as well, and feeds it any.
    """
    if not is_of_its_kind(network):
        return options
    # Without a shape a head makes the grid of its cells anew, not of the last picture it saw.
    flags = {"export": True, "format": "onnx", "dynamic": options.dynamic == "hw", "shape": None}
    for head in _heads(network):
        for name, value in flags.items():
            setattr(head, name, value)
    return replace(
        options,
        input_shape=options.input_shape or (1, _channels(network), *_image_size(network)),
        input_names=options.input_names or (INPUT,),
        dynamic=options.dynamic or "none",
    )


def output_names(network: nn.Module, usual: tuple[str, ...]) -> tuple[str, ...]:
    """Call the only output as its own exporter does; several are called alike anyway."""
    return (OUTPUT,) if len(usual) == 1 and is_of_its_kind(network) else usual


def metadata(network: nn.Module, options: NetworkOptions) -> dict[str, str]:
    """Write what its own predictor reads off an .onnx, under its keys; nothing of other networks.

    Args:
        network: The network.
        options: As `ready_to_export` gave them.

    Returns:
        Each value as a Python literal, by key.
    """
    if not is_of_its_kind(network) or options.input_shape is None:
        return {}
    batch, channels, *size = options.input_shape
    said = {
        "task": _task(network),
        "stride": _stride(network),
        "names": _names(network),
        "imgsz": size,
        "batch": batch,
        "channels": channels,
        "end2end": any(bool(getattr(head, "end2end", False)) for head in _heads(network)),
        "args": {"batch": batch, "dynamic": options.dynamic == "hw"},
        **{key: getattr(network, key) for key in _ALSO_READ if hasattr(network, key)},
    }
    return {key: str(value) for key, value in said.items()}


def is_of_its_kind(network: nn.Module) -> bool:
    """Tell by the names of classes, the strides, and a head that knows of exports."""
    stride = getattr(network, "stride", None)
    strides = isinstance(stride, torch.Tensor) and stride.numel() > 0
    return strides and bool(_names(network)) and bool(_heads(network))


def _heads(network: nn.Module) -> list[nn.Module]:
    return [part for part in network.modules() if isinstance(getattr(part, "export", None), bool)]


def _names(network: nn.Module) -> dict[int, str]:
    """Read the names of classes, which are a list or by number."""
    said = getattr(network, "names", None)
    names = dict(enumerate(said)) if isinstance(said, (list, tuple)) else said
    if not isinstance(names, Mapping) or not all(isinstance(number, int) for number in names):
        return {}
    return {number: str(name) for number, name in names.items()}


def _task(network: nn.Module) -> str:
    """Read the task, or tell it by the class of the last head."""
    said = getattr(network, "task", None) or _arguments(network).get("task")
    kinds = " ".join(kind.__name__.lower() for kind in type(_heads(network)[-1]).__mro__)
    return str(said or next((task for task in _TASKS if task in kinds), "detect"))


def _stride(network: nn.Module) -> int:
    strides: Any = network.stride
    return max(1, int(strides.max()))


def _arguments(network: nn.Module) -> Mapping[str, Any]:
    """Read the arguments of the training, which are a dict or a namespace."""
    said = getattr(network, "args", None)
    return said if isinstance(said, Mapping) else getattr(said, "__dict__", {})


def _channels(network: nn.Module) -> int:
    said = getattr(network, "yaml", None)
    channels = said.get("channels", said.get("ch")) if isinstance(said, Mapping) else None
    return channels if isinstance(channels, int) else 3


def _image_size(network: nn.Module) -> tuple[int, int]:
    """Read height and width; what the stride does not divide goes up to what it does."""
    said = _arguments(network).get("imgsz")
    sides = list(said) if isinstance(said, (list, tuple)) else [said]
    if not sides or not all(isinstance(side, int) and side > 0 for side in sides):
        sides = [_USUAL_SIZE]
    stride = _stride(network)
    height, width = (-(-side // stride) * stride for side in (sides[0], sides[-1]))
    return height, width
