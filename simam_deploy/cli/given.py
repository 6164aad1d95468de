"""What is wrong with the files that a command line names, found before any work is begun."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from simam_deploy.errors import InputError, UsageError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
_FETCH = {
    "http": "curl -LO {url}",
    "https": "curl -LO {url}",
    "s3": "aws s3 cp {url} .",
    "gs": "gcloud storage cp {url} .",
    "hf": "hf download {rest} --local-dir .",
}
"""How what a URL names comes to be a file, by its scheme."""
_READ = ("data", "calibration_data", "labels", "image", "picture")
_ARRAYS = (".npz", ".npy")
"""What is read holds pictures where it is no array of numbers."""
_WRITTEN = ("output", "report", "plot", "csv")
_NO_FILES = ("url",)
"""Of simam-load: where a server is."""


def check_given(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse URLs, what is to be read and is not there, and places that cannot be written.

    Raises:
        UsageError: Two outputs would be one file.
        InputError: Says what to do; also where pictures are named and Pillow is missing.
    """
    for name in _words_for_files(parser, args):
        _check_local(name)
    for option in _READ:
        if getattr(args, option, None) is not None:
            _check_there(Path(getattr(args, option)), option)
    written = [option for option in _WRITTEN if getattr(args, option, None) is not None]
    for option in written:
        _check_writable(Path(getattr(args, option)), option)
    places = {Path(getattr(args, option)).absolute() for option in written}
    if len(places) < len(written):
        raise UsageError("two outputs have one name", options=tuple(written))


def _words_for_files(parser: argparse.ArgumentParser, args: argparse.Namespace) -> Iterator[str]:
    """List the positional words, and the values of options for a file or folder, as typed."""
    for action in parser._actions:
        value = getattr(args, action.dest, None)
        positional = not action.option_strings and action.dest not in _NO_FILES
        if positional or action.dest in (*_READ, *_WRITTEN):
            values = value if isinstance(value, list) else [value]
            yield from (_typed(each) for each in values if each is not None)


def _typed(value: object) -> str:
    """Undo what a Path makes of `https://`."""
    text = str(value)
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]+:/)(?=[^/])", r"\1/", text)


def _check_local(name: str) -> None:
    word = name.partition("=")[2] if re.match(r"[\w.-]+=", name) else name  # NAME=PATH of a server
    if word == "-":
        raise InputError(
            "- is no file: models and data are read from files, not from stdin (a file of that "
            "name is ./-)"
        )
    if url := _URL.match(word):
        raise InputError(
            f"{word} is a URL, and a file is wanted: {_advice(url[1].lower(), url[2], word)}"
        )


def _advice(scheme: str, rest: str, url: str) -> str:
    if scheme == "file":
        return f"name it as {shlex.quote('/' + rest.partition('/')[2])}"
    fetch = _FETCH.get(scheme, "")
    if not fetch:
        return "copy it here first"
    return f"download it first ({fetch.format(url=shlex.quote(url), rest=shlex.quote(rest))})"


def _check_there(path: Path, option: str) -> None:
    try:
        empty = path.is_dir() and not any(path.iterdir())
        found = path.exists()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", options=(option,)) from None
    if not found:
        raise InputError(f"cannot read {path}: No such file or directory", options=(option,))
    if empty:
        raise InputError(f"{path} is an empty folder", options=(option,))
    if not os.access(path, os.R_OK):
        raise InputError(f"cannot read {path}: Permission denied", options=(option,))
    if option != "labels" and path.suffix.lower() not in _ARRAYS:
        from simam_deploy.source.samples.pictures import require_pillow

        require_pillow()


def _check_writable(path: Path, option: str) -> None:
    """Refuse a file in what is no folder, or in one that this user may not write to."""
    try:
        folder = next(each for each in path.absolute().parents if os.path.lexists(each))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", options=(option,)) from None
    if not folder.is_dir():
        raise InputError(f"cannot write {path}: {folder} is no folder", options=(option,))
    if not os.access(folder, os.W_OK | os.X_OK) and not os.access(path, os.W_OK):
        raise InputError(f"cannot write {path}: Permission denied", options=(option,))
