"""Turn a file into the tree of values that was saved, behind one boundary for its errors."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open

from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint.archive import read_archive
from simam_deploy.source.checkpoint.claims import NeedsCodeError
from simam_deploy.source.checkpoint.content import ADVICE, Kind, reason
from simam_deploy.source.checkpoint.screen import screen_archive, screen_legacy


class Contents(NamedTuple):
    """What a file holds: the saved value, and the text metadata of a safetensors file."""

    tree: object
    metadata: Mapping[str, str]


def read_contents(path: Path, kind: Kind, size: int, *, trust_pickle: bool) -> Contents:
    """Read the file at `path`, of container `kind`, `size` bytes long.

    With `trust_pickle`, code in the pickle is run, but only where the pickle needs it.

    Raises:
        CheckpointError: It is damaged or hostile, or needs code and is not trusted.
    """
    try:
        return _READERS[kind](path, size, trust_pickle)
    except CheckpointError:
        raise
    except Exception as error:
        # A damaged or hostile pickle can make an unpickler raise whatever Python has: KeyError,
        # IndexError, UnicodeDecodeError, RuntimeError, MemoryError, RecursionError ... All of
        # them mean the same to whoever gave the file. KeyboardInterrupt is no Exception.
        raise CheckpointError(
            f"is damaged or cut off ({type(error).__name__}: {reason(error)}): copy or download "
            "it again"
        ) from None


def _read_zip(path: Path, size: int, trust_pickle: bool) -> Contents:
    archive = read_archive(path, size)
    weights_only = _is_safe(
        lambda: screen_archive(archive.pickle, archive.storages, size), trust_pickle
    )
    # Mapped into memory, so that only what is used is ever read. torch.load takes a path that
    # ends in .safetensors for that format, whatever is in it, and maps no open file.
    return _load(path, mmap=path.suffix != ".safetensors", weights_only=weights_only)


def _read_legacy(path: Path, size: int, trust_pickle: bool) -> Contents:
    with path.open("rb") as file:
        weights_only = _is_safe(lambda: screen_legacy(file, size), trust_pickle)
    return _load(path, mmap=False, weights_only=weights_only)


def _read_safetensors(path: Path, _size: int, _trust_pickle: bool) -> Contents:
    with safe_open(path, framework="pt", device="cpu") as file:
        keys = file.keys()
        return Contents({key: file.get_tensor(key) for key in keys}, file.metadata() or {})


_READERS: dict[Kind, Callable[[Path, int, bool], Contents]] = {
    Kind.ZIP: _read_zip,
    Kind.PICKLE: _read_legacy,
    Kind.SAFETENSORS: _read_safetensors,
}


def _is_safe(screen: Callable[[], None], trust_pickle: bool) -> bool:
    """Say whether the pickle needs no code; one that does is refused unless it is trusted."""
    try:
        screen()
    except NeedsCodeError:
        if not trust_pickle:
            raise
        return False
    return True


def _load(path: Path, *, mmap: bool, weights_only: bool) -> Contents:
    # An argparse.Namespace only carries attributes, and training scripts save their arguments.
    with (
        path.open("rb") as file,
        torch.serialization.safe_globals([argparse.Namespace]),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # on old formats: nothing the user can act upon
        source = path if mmap else file
        try:
            tree = torch.load(source, map_location="cpu", mmap=mmap, weights_only=weights_only)
        except (ImportError, AttributeError) as error:
            if weights_only:
                raise
            raise CheckpointError(
                f"needs code that cannot be imported here ({reason(error)}): run where it can be, "
                f"or {ADVICE}"
            ) from None
    return Contents(tree, {})
