"""Turn a file into the tree of values that was saved."""

from __future__ import annotations

import argparse
import tarfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch
from safetensors import safe_open

from simam_deploy.core.files import named_in_text
from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint.archive import read_archive
from simam_deploy.source.checkpoint.calls import knows
from simam_deploy.source.checkpoint.content import ADVICE, TAR, Kind, damaged, reason
from simam_deploy.source.checkpoint.inert import inert_pickle
from simam_deploy.source.checkpoint.screen import Screened, screen_archive, screen_legacy


class Contents(NamedTuple):
    """What a file holds.

    Attributes:
        tree: The saved value; objects of classes that are not known here are `Inert`.
        metadata: The text metadata of a safetensors file.
        foreign: Those classes, as Python spells them.
    """

    tree: object
    metadata: Mapping[str, str]
    foreign: tuple[str, ...] = ()


def read_contents(path: Path, kind: Kind, size: int, *, run_code: bool = False) -> Contents:
    """Read the file at `path`, of container `kind`, `size` bytes long.

    Args:
        path: The file.
        kind: Its container.
        size: Its bytes.
        run_code: Whether to import its classes and run what it asks for.

    Raises:
        CheckpointError: It is damaged or hostile, or needs code that cannot be imported.
    """
    try:
        with named_in_text(path) as named:
            return _READERS[kind](named, size, run_code)
    except CheckpointError:
        raise
    except Exception as error:  # a broken archive: zipfile and safetensors raise all kinds at it
        raise damaged(error) from None


def _read_zip(path: Path, size: int, run_code: bool) -> Contents:
    archive = read_archive(path, size)
    screened = screen_archive(archive.pickle, archive.storages, size)
    # Mapped into memory, so that only what is used is ever read. torch.load takes a path that
    # ends in .safetensors for that format, whatever is in it, and maps no open file.
    if path.name.endswith(".safetensors"):
        with path.open("rb") as file:
            return _load(file, screened, run_code)
    return _load(path, screened, run_code)


def _read_legacy(path: Path, size: int, run_code: bool) -> Contents:
    with path.open("rb") as file:
        if tarfile.is_tarfile(file):  # as which torch.load would read it, whatever it is besides
            raise CheckpointError(f"is {TAR}")
        screened = screen_legacy(file, size)
        file.seek(0)
        return _load(file, screened, run_code)


def _read_safetensors(path: Path, _size: int, _run_code: bool) -> Contents:
    with safe_open(path, framework="pt", device="cpu") as file:
        keys = file.keys()
        return Contents({key: file.get_tensor(key) for key in keys}, file.metadata() or {})


_READERS: dict[Kind, Callable[[Path, int, bool], Contents]] = {
    Kind.ZIP: _read_zip,
    Kind.PICKLE: _read_legacy,
    Kind.SAFETENSORS: _read_safetensors,
}


def _load(source: Path | IO[bytes], screened: Screened, run_code: bool) -> Contents:
    # An argparse.Namespace only carries attributes, and training scripts save their arguments.
    with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on old formats: nothing the user can act upon
        how = _how(screened, run_code)
        try:
            mmap = isinstance(source, Path)
            tree = torch.load(source, map_location="cpu", mmap=mmap, **how)
        except Exception as error:  # the file's code, or objects that do not fit, raise all kinds
            raise _unloadable(error, run_code) from None
    return Contents(tree, {}, screened.foreign)


def _unloadable(error: Exception, run_code: bool) -> CheckpointError:
    """Say at which step an unpickler failed whose opcodes and sizes were sound."""
    if "PytorchStreamReader" in str(error):  # of torch's own zip reader: the archive is broken
        return damaged(error)
    why = f"{type(error).__name__}: {_cause(error)}"
    if run_code and isinstance(error, (ImportError, AttributeError)):
        what = f"needs code that cannot be imported here ({why}): run where it can be, or"
    elif run_code:
        what = f"runs code that fails ({why}): mend that, or"
    else:
        what = f"holds objects that cannot be made ({why}):"
    return CheckpointError(f"{what} {ADVICE}")


def _cause(error: Exception) -> str:
    """Give the part of an error that speaks of the file; torch's own advice comes before it."""
    _, _, said = str(error).partition("WeightsUnpickler error: ")
    return said.strip().splitlines()[0] if said.strip() else reason(error)


def _how(screened: Screened, run_code: bool) -> dict[str, Any]:
    """Choose an unpickler: torch's own safe one, which knows protocol 2 alone, where it does."""
    if run_code:
        return {"weights_only": False}
    if screened.needs_inert:
        return {
            "weights_only": False,
            "pickle_module": inert_pickle(knows, screened.pickles),
        }
    return {"weights_only": True}
