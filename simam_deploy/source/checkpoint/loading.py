"""From a path to clean weights, or to one line that says why not."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from simam_deploy.core.files import sha256_of
from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint.claims import NeedsCodeError, needs_code
from simam_deploy.source.checkpoint.cleaning import Clean, clean
from simam_deploy.source.checkpoint.content import file_size, identify
from simam_deploy.source.checkpoint.keys import Spelling
from simam_deploy.source.checkpoint.reading import Contents, read_contents
from simam_deploy.source.checkpoint.wrappers import (
    NoWeightsError,
    Weights,
    find_weights,
    saved_whole,
)
from simam_deploy.source.stated.reading import read_stated
from simam_deploy.source.stated.record import Stated

_MAX_LINE = 600


@dataclass(frozen=True)
class Checkpoint:
    """The weights in a file, and what is known about them."""

    path: Path
    sha256: str
    size: int
    """Bytes of the file."""
    entry: str
    """Where in the file the weights were: "" for a bare state_dict, else as "ema.module"."""
    found: Clean
    """The weights: float32 or int64, contiguous, on the CPU, all finite. May be mapped from the
    file, which then must stay as it is."""
    stated: Stated
    """What the file says of its network beside them, and the file's and its folder's name."""
    decided: tuple[str, ...]
    """What was preferred or left unread on the way to the weights."""
    pickled: str = ""
    """The class of a network that was saved whole, and is read without its code."""
    unpickled: Any = None
    """What its own code made of the file; None where that did not run."""

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """The weights by the keys that are meant."""
        return self.found.weights

    @property
    def notes(self) -> tuple[str, ...]:
        """What was stripped, converted or preferred, as "prefix module." or "50 thop counters"."""
        return self.decided + self.found.notes

    def spelt(self, spelling: Spelling) -> Checkpoint:
        """Read its keys in another way."""
        return replace(self, found=replace(self.found, spelling=spelling))


def load_checkpoint(path: str | os.PathLike[str], *, trust_pickle: bool = False) -> Checkpoint:
    """Load the weights of a .pth, .pt or .safetensors file, whatever its name is.

    Pickles are read without their code, after their opcodes have been screened for claims that the
    file cannot hold; objects beside the weights, and a network saved whole, are read as what they
    store. The weights of a zip or safetensors file are mapped into memory, not copied.

    Args:
        path: The file.
        trust_pickle: Run the code of a pickle whose weights cannot be read without; never for a
            file from a stranger.

    Raises:
        CheckpointError: The file is missing, damaged, unsafe or holds no usable weights; one line
            that names the file, what was found and what to do.
    """
    path = Path(path)
    try:
        return _load(path, trust_pickle=trust_pickle)
    except CheckpointError as error:
        raise error.reworded(_one_line(f"{path.name or path}: {error}")) from None


def _one_line(text: str) -> str:
    """Make a message safe for a terminal: its keys and class names are the file's own words."""
    return "".join(char if char.isprintable() else "?" for char in text[:_MAX_LINE])


def _load(path: Path, *, trust_pickle: bool) -> Checkpoint:
    size = file_size(path)  # first: to open a pipe would wait for ever
    kind = identify(path)
    stated, unpickled = read_stated(None, {}, path), None  # of the names alone
    try:
        contents = read_contents(path, kind, size)
        stated = read_stated(contents.tree, contents.metadata, path)
        found, cleaned = _weights(contents, size)
    except NeedsCodeError:
        if not trust_pickle:
            raise
        contents = read_contents(path, kind, size, run_code=True)
        found, cleaned = _weights(contents._replace(foreign=()), size)
        unpickled = contents.tree
    return Checkpoint(
        path=path,
        sha256=sha256_of(path),
        size=size,
        entry=found.entry,
        found=cleaned,
        stated=stated,
        decided=found.notes + _unread(contents),
        pickled=saved_whole(contents.tree, found.entry),
        unpickled=unpickled,
    )


def _weights(contents: Contents, size: int) -> tuple[Weights, Clean]:
    try:
        found = find_weights(contents.tree)
    except NoWeightsError:
        if contents.foreign:
            raise needs_code(contents.foreign[0]) from None
        raise
    return found, clean(found.state_dict, size)


def _unread(contents: Contents) -> tuple[str, ...]:
    """Say that objects were read without their code, of which classes."""
    some = ", ".join(contents.foreign[:2]) + ", ..." * (len(contents.foreign) > 2)
    return (f"objects read without their code ({some})",) if contents.foreign else ()
