"""What a machine that can load nothing needs, in pieces to carry, and put together again.

An archive of folders: `site` is TensorRT-RTX for that machine's Python, `onnx` and `plans` are
networks and the plans made of them, `plugin` the compiled plugin where there is one. `pack.json`
beside its pieces has each one's size and hash; a piece that is missing, cut or changed is named,
and nothing is put together then.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from gpu.setting import Setting
from simam_deploy.core.files import sha256_of
from simam_deploy.errors import InputError
from simam_deploy.op.find import LIBRARIES, find_plugin

INDEX = "pack.json"
FOLDERS = ("site", "onnx", "plans", "plugin")
PACKED = ("tensorrt_rtx_cu13", "tensorrt_rtx_cu13_bindings", "tensorrt_rtx_cu13_libs")
FLAVOUR = "tensorrt_rtx"
FILTERS = ({"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 2**27},)
"""128 MiB reach from one form's weights to the next one's, and from plugin to plugin: 163 MB of
plans are 2.1 MB, with the usual 8 MiB 6.0. Packing takes 1.5 GB of memory, unpacking 130 MB."""
_MOST_INDEX = 2**20
_MOST_PIECES = 1000


def pack(folder: Path, setting: Setting, python: str, size: int) -> Iterator[str]:
    """Make all files and plans, and write them and TensorRT-RTX in pieces.

    Args:
        folder: Where pieces go; those of before are taken away.
        setting: Whose files are packed; what is missing of them is made.
        python: The other machine's, as 3.12.
        size: The most bytes of a piece.

    Yields:
        What was done, a line each.

    Raises:
        InputError: TensorRT-RTX is missing, or not to be had for that Python.
    """
    from gpu.files import make_all

    yield from make_all(setting, FLAVOUR)
    fill_site(setting.work / "site", python)
    if not keep_plugin(setting.work / "plugin"):
        yield "without the plugin, which scripts/build_plugin makes"
    yield "compressing, for some minutes"
    for piece in write_pieces(setting.work, folder, size):
        yield f"{piece['name']}  {piece['size']} bytes"


def fill_site(site: Path, python: str) -> None:
    """Put the packages of `PACKED` into a folder, as another Python loads them.

    Raises:
        InputError: One is not installed here, or there is none for that Python.
    """
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    for name in PACKED:
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            raise InputError(f"{name} is not installed: pip install 'simam-deploy[rtx]'") from None
        compiled = "Tag: cp" in (found.read_text("WHEEL") or "")
        if compiled and python != ".".join(map(str, sys.version_info[:2])):
            _install(f"{name}=={found.version}", site, python)
        else:
            _copy(found, site)


def keep_plugin(folder: Path) -> bool:
    """Copy the compiled plugin of every flavour; tell whether there is one."""
    shutil.rmtree(folder, ignore_errors=True)
    found = [library for library in map(find_plugin, LIBRARIES) if library is not None]
    for library in found:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(library, folder / library.name)
    return bool(found)


def _copy(found: importlib.metadata.Distribution, site: Path) -> None:
    """Copy what is installed here, but for what Python compiled."""
    for file in found.files or ():
        if ".." not in file.parts and file.suffix != ".pyc":
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), target)


def _install(wanted: str, site: Path, python: str) -> None:
    """Have pip put a wheel for another Python into a folder.

    Raises:
        InputError: It has none.
    """
    for_other = ["--python-version", python, "--implementation", "cp", "--only-binary=:all:"]
    how = ["--quiet", "--no-deps", "--no-compile", "--disable-pip-version-check", *for_other]
    command = [sys.executable, "-m", "pip", "install", *how, "--target", str(site), wanted]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise InputError(f"{wanted} is not to be had for Python {python}: {last}")


def write_pieces(work: Path, folder: Path, size: int) -> list[dict[str, object]]:
    """Write the folders of a work folder as pieces and their index; gives the index."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("pack.*.part"), folder / INDEX):
        old.unlink(missing_ok=True)
    with tempfile.TemporaryFile(dir=folder) as whole:
        with (
            lzma.open(whole, "wb", filters=FILTERS) as small,
            tarfile.open(fileobj=small, mode="w|") as archive,
        ):
            for name in filter(lambda name: (work / name).exists(), FOLDERS):
                archive.add(work / name, name)
        whole.seek(0)
        pieces = list(_cut(whole, folder, size))
    (folder / INDEX).write_text(json.dumps({"pieces": pieces}, indent=1))
    return pieces


def _cut(whole: IO[bytes], folder: Path, size: int) -> Iterator[dict[str, object]]:
    number = 0
    while content := whole.read(size):
        path = folder / f"pack.{number:03}.part"
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        yield {"name": path.name, "size": len(content), "sha256": digest}
        number += 1


def unpack(folder: Path, work: Path) -> list[str]:
    """Put pieces together into a work folder, whose folders of those names are replaced.

    Returns:
        What there is now, a line each.

    Raises:
        InputError: The index or a piece is missing or is not what it was; nothing is changed.
    """
    pieces = _checked(folder)
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as name:
        stage = Path(name)
        with _joined(pieces, stage) as whole:
            _extract(whole, stage)
        made = [stage / name for name in FOLDERS if (stage / name).is_dir()]
        for path in made:
            shutil.rmtree(work / path.name, ignore_errors=True)
            path.rename(work / path.name)
    shutil.copyfile(folder / INDEX, work / INDEX)
    return [f"{work / path.name}: {_count(work / path.name)} files" for path in made]


def _checked(folder: Path) -> list[Path]:
    """Give the pieces in their order, each held against the index.

    Raises:
        InputError: One is missing or is not what it was.
    """
    paths = []
    for number, piece in enumerate(_index(folder)):
        path = folder / f"pack.{number:03}.part"
        if piece.get("name") != path.name:
            raise InputError(f"{folder / INDEX} names {piece.get('name')!r} for {path.name}")
        if not path.is_file():
            raise InputError(f"{path} is missing: carry it as well")
        if path.stat().st_size != piece.get("size"):
            raise InputError(
                f"{path} has {path.stat().st_size} bytes, {piece.get('size')} are wanted: "
                "it was cut on its way"
            )
        if sha256_of(path) != piece.get("sha256"):
            raise InputError(f"{path} is not what was packed: its hash differs")
        paths.append(path)
    return paths


def _index(folder: Path) -> Sequence[dict[str, object]]:
    """Read the index.

    Raises:
        InputError: It is missing or is none.
    """
    path = folder / INDEX
    try:
        with path.open("rb") as file:
            pieces = json.loads(file.read(_MOST_INDEX))["pieces"]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{path} is no index of pieces") from error
    good = isinstance(pieces, list) and all(isinstance(piece, dict) for piece in pieces)
    if not good or not 0 < len(pieces) <= _MOST_PIECES:
        raise InputError(f"{path} is no index of pieces")
    return list(pieces)


@contextlib.contextmanager
def _joined(pieces: Sequence[Path], stage: Path) -> Iterator[IO[bytes]]:
    """Yield the archive that pieces are of."""
    with tempfile.TemporaryFile(dir=stage) as whole:
        for piece in pieces:
            with piece.open("rb") as file:
                shutil.copyfileobj(file, whole)
        whole.seek(0)
        yield whole


def _extract(whole: IO[bytes], stage: Path) -> None:
    """Extract, nothing of it outside of the folder.

    Raises:
        InputError: It is no archive, or would be written elsewhere.
    """
    try:
        with tarfile.open(fileobj=whole, mode="r:xz") as archive:
            archive.extractall(stage, filter="data")
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise InputError(f"the pieces are no archive of gpu_all: {error}") from error


def _count(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))
