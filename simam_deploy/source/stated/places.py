"""Where in a file something may be said: beside the weights, among arguments, in the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice

from simam_deploy.source.stated.fields import Held, follow, held, printable
from simam_deploy.source.stated.text import LARGEST

ARGUMENTS = (
    ("args",),
    ("config",),
    ("cfg",),
    ("hyper_parameters",),
    ("datamodule_hyper_parameters",),
    ("hparams",),
    ("opt",),
    ("train_args",),
    ("pretrained_cfg",),
    ("default_cfg",),
    ("meta", "config"),
    ("meta", "cfg"),
    ("message_hub", "runtime_info", "cfg"),
)
"""What training code calls the arguments that it saves: Lightning, YOLOv5 (opt), ultralytics
(train_args), timm (args, pretrained_cfg), mmcv (meta.config), mmengine (the last two), FAIR's
CfgNode (cfg). Values or text; a network saved whole may hold some too."""
_MOST_NETWORKS = 4
"""A network and its average; one may stand there under many names."""


@dataclass(frozen=True)
class Places:
    """Where to look in one file.

    Attributes:
        top: What stands beside the weights.
        arguments: A training script's, wherever they are, in the order of `ARGUMENTS`.
        networks: Whole networks, with their attributes.
        metadata: The text metadata of a safetensors or ONNX file.
    """

    top: Held
    arguments: tuple[Held, ...]
    networks: tuple[Held, ...]
    metadata: Held


def find_places(tree: object, metadata: Mapping[str, str]) -> Places:
    """Find them.

    Args:
        tree: What a checkpoint holds, None of an .onnx.
        metadata: The text metadata.
    """
    top, texts = held(tree), Held("metadata ", metadata)
    networks = tuple(islice(_networks(top), _MOST_NETWORKS))
    arguments = chain.from_iterable(map(_arguments, (top, texts, *networks)))
    return Places(top, tuple(arguments), networks, texts)


def where(path: str) -> str:
    """Word a place."""
    return f"file ({path.rstrip('.')})"


def _arguments(top: Held) -> Iterator[Held]:
    room = LARGEST
    for names in ARGUMENTS:
        value = follow(top.values, *names)
        room -= len(value) if isinstance(value, str) else 0
        if isinstance(value, str) and room < 0:
            continue
        found = held(value, f"{top.path}{'.'.join(names)}.")
        if found.values:
            yield found


def _networks(top: Held) -> Iterator[Held]:
    """Find networks that were saved whole: the file itself, or what stands at its top."""
    values = [(f"{printable(key)}.", v) for key, v in top.values.items() if not isinstance(v, str)]
    for found in (top, *(held(value, path) for path, value in values)):
        if isinstance(found.values.get("_modules"), Mapping):
            yield found
