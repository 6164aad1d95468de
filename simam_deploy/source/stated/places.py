"""Where in a file something may be said: beside the weights, among arguments, in the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice

from simam_deploy.source.stated.fields import Held, follow, held, printable
from simam_deploy.source.stated.record import Said
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
_A_NAME = 256
"""Characters: what is shorter and no configuration is the name of one, or its path."""
_MOST_NETWORKS = 4
"""A network and its average; one may stand there under many names."""


@dataclass(frozen=True)
class Places:
    """Where to look in one file.

    Attributes:
        top: What stands beside the weights.
        arguments: A training script's, wherever they are, in the order of `ARGUMENTS`.
        unread: Texts among them that are too large, or of no kind that is known.
        networks: Whole networks, with their attributes.
        metadata: The text metadata of a safetensors or ONNX file.
    """

    top: Held
    arguments: tuple[Held, ...]
    unread: tuple[Said, ...]
    networks: tuple[Held, ...]
    metadata: Held


def find_places(tree: object, metadata: Mapping[str, object]) -> Places:
    """Find them.

    Args:
        tree: What a checkpoint holds, None of an .onnx.
        metadata: The text metadata.
    """
    top, texts = held(tree), Held("metadata ", metadata)
    networks = tuple(islice(_networks(top), _MOST_NETWORKS))
    entries = dict(chain.from_iterable(map(_entries, (top, texts, *networks))))
    return Places(top, *_read(entries), networks, texts)


def where(path: str) -> str:
    """Word a place."""
    return f"file ({path.rstrip('.')})"


def _entries(top: Held) -> Iterator[tuple[str, object]]:
    """Find what bears one of the names of `ARGUMENTS`, with its path."""
    for names in ARGUMENTS:
        if (value := follow(top.values, *names)) is not None:
            yield f"{top.path}{'.'.join(names)}.", value


def _read(entries: Mapping[str, object]) -> tuple[tuple[Held, ...], tuple[Said, ...]]:
    """Read entries; of texts no more than `LARGEST` in all, each once."""
    read: list[Held] = []
    unread: list[Said] = []
    seen: set[str] = set()
    for path, value in entries.items():
        size = len(value) if isinstance(value, str) else 0
        if isinstance(value, str) and value in seen:
            continue
        found = held(value, path) if size + sum(map(len, seen)) <= LARGEST else Held(path, {})
        if isinstance(value, str):
            seen.add(value)
        if found.values:
            read.append(found)
        elif size > _A_NAME:
            unread.append(Said(f"a text of {size:,} characters", where(path)))
    return tuple(read), tuple(unread)


def _networks(top: Held) -> Iterator[Held]:
    """Find networks that were saved whole: the file itself, or what stands at its top."""
    values = [(f"{printable(key)}.", v) for key, v in top.values.items() if not isinstance(v, str)]
    for found in (top, *(held(value, path) for path, value in values)):
        if isinstance(found.values.get("_modules"), Mapping):
            yield found
