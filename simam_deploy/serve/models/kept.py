"""What an earlier start found out about a file, kept for the next: a second start needs half.

ONNX Runtime's optimised graph, with SimAM's nodes in the layout of its convolutions where that is
proved, and whether the model's rows were found apart. An entry is a folder
named by its key, which is everything that either depends on. Since it answers for the file, it is
believed as plans are (`engine.plan.cache_guard`): where the folder is the user's alone; and only
whole, by the hashes in its facts. What is not is made anew, and no start fails because of it.

The graph's weights lie in a file of their own, which a session maps: of a resnet18 it is there in
6 ms of processor time, for 71 and 24 to read the file where they lie in the graph.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from simam_deploy.core.artifacts import Manifest
from simam_deploy.core.files import read_small, sha256_of
from simam_deploy.core.version import __version__
from simam_deploy.engine.plan.cache_guard import (
    UntrustedError,
    check_entry,
    kept_folder,
    make_own,
    put_entry,
)
from simam_deploy.errors import InputError
from simam_deploy.op.find import find_operators
from simam_deploy.runtime.blocked import in_blocks
from simam_deploy.runtime.onnx_runner import weights_of
from simam_deploy.serve.models.open_runner import Read
from simam_deploy.serve.models.warm_up import sample
from simam_deploy.serve.settings import MIB, Settings

WORTH, LARGEST = MIB, 1024 * MIB
"""Bytes of a model that is kept: a smaller one is ready at once, a larger one's graph may not fit
the 2 GiB of one message."""
_GRAPH, _FACTS = "graph.onnx", "facts.json"
_PROVED_ROWS = 2
"""Of the input that a graph in blocks is proved on: rows lie apart there too."""


@dataclass
class Start:
    """One start of a model.

    Attributes:
        read: What to open.
        keeps_rows_apart: What was found earlier; None where nothing is kept.
        note: Why what is kept was not believed; "" where it was, or nothing is.
    """

    read: Read
    keeps_rows_apart: bool | None = None
    note: str = ""
    _entry: Path | None = field(default=None, repr=False)

    def keep(self, keeps_rows_apart: bool) -> None:
        """Keep what this start found out, if it is to be; a cache that takes nothing is none."""
        if self._entry is None or self.read.write is None or not self.read.write.is_file():
            return
        with contextlib.suppress(OSError):
            _store(self._entry, self.read.write, keeps_rows_apart)


@contextlib.contextmanager
def begun(
    path: Path, facts: Manifest, contents: Mapping[str, bytes], settings: Settings
) -> Iterator[Start]:
    """Begin to load an .onnx file: by what is kept of it, or so that it can be kept.

    Args:
        path: The file.
        facts: Its manifest, and
        contents: its bytes, as `onnx_contents` held them against each other.
        settings: The server's.
    """
    plain = Start(Read(contents))
    if not _is_worth(contents, settings):
        yield plain
        return
    entry = kept_folder("sessions") / _key(_hashes(facts, contents), settings)
    with contextlib.ExitStack() as held:
        try:
            make_own(entry.parent)
            check_entry(entry)
            start = _found(entry)
            if start is None:
                read = _best(path, facts, contents)
                start = held.enter_context(_to_be_kept(read, entry))
        except UntrustedError as error:
            plain.note = f"started without what is kept of it: {error.strerror}"
            start = plain
        except OSError:  # a home that cannot be written to
            start = plain
        yield start


def _is_worth(contents: Mapping[str, bytes], settings: Settings) -> bool:
    from simam_deploy.runtime.onnx_runner import PROVIDERS, providers_of

    size = sum(map(len, contents.values()))
    return WORTH <= size <= LARGEST and providers_of(settings.provider) == PROVIDERS["cpu"]


def _hashes(facts: Manifest, contents: Mapping[str, bytes]) -> dict[str, str]:
    """Give every file's hash: the manifest's, where it was held against that; 46 MB take 30 ms."""
    listed = {entry["name"]: entry["sha256"] for entry in facts.get("files", ())}
    return {
        name: listed.get(name) or hashlib.sha256(content).hexdigest()
        for name, content in contents.items()
    }


def _key(hashes: Mapping[str, str], settings: Settings) -> str:
    """Hash all that the optimised graph, and what the first runs tell, depend on."""
    import onnxruntime as ort

    parts = {
        "files": sorted(hashes.values()) if len(hashes) == 1 else sorted(hashes.items()),
        "onnxruntime": [ort.__version__, ort.get_build_info()],
        "cpu": _cpu(),
        "operators": _operators(),
        "rows": settings.max_batch_size,
        "by": __version__,
    }
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _operators() -> str:
    """Hash the library of SimAM's operators that a graph may be written with, if there is one."""
    found = find_operators()
    return "" if found is None else hashlib.sha256(found.read_bytes()).hexdigest()


def _cpu() -> list[str]:
    """Name the processor and its instructions: layouts and kernels are chosen by them."""
    lines = []
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        told = ("flags", "Features", "model name", "CPU part")
        lines = sorted({line for line in text.splitlines() if line.startswith(told)})
    return [platform.machine(), platform.processor(), *lines]


def _found(entry: Path) -> Start | None:
    """Take an entry, if there is one and it is whole."""
    try:
        facts = json.loads(read_small(entry / _FACTS, MIB) or b"null")
        whole = isinstance(facts, dict) and facts.get("sha256") == _written(entry / _GRAPH)
    except (InputError, OSError, ValueError):
        return None
    if not whole or type(facts.get("keeps_rows_apart")) is not bool:
        return None
    os.utime(entry)  # by which it is seen when it was last taken
    return Start(Read({}, optimised=entry / _GRAPH), facts["keeps_rows_apart"])


def _written(graph: Path) -> dict[str, str]:
    """Hash a graph, and its weights where they are in a file of their own."""
    files = [file for file in (graph, weights_of(graph)) if file.exists()]
    return {file.name: sha256_of(file) for file in files}


def _best(path: Path, facts: Manifest, contents: Mapping[str, bytes]) -> Read:
    """Give a graph whose SimAM nodes need no other layout than its convolutions, or the file."""
    blocks = in_blocks(path, contents, lambda runner: sample(runner, facts, _PROVED_ROWS))
    return Read(contents) if blocks is None else Read({path.name: blocks}, as_they_are=True)


@contextlib.contextmanager
def _to_be_kept(read: Read, entry: Path) -> Iterator[Start]:
    from simam_deploy.core.staging import held_folder

    with held_folder(entry.parent) as stage:
        yield Start(replace(read, write=stage / _GRAPH), _entry=entry)


def _store(entry: Path, graph: Path, keeps_rows_apart: bool) -> None:
    """Put an entry into place, and make room for it.

    Raises:
        OSError: It cannot be written, or another start does the same.
    """
    part = graph.parent / entry.name
    part.mkdir(mode=0o700)
    for file in (graph, weights_of(graph)):
        if file.exists():
            file.replace(part / file.name)
    facts = {"sha256": _written(part / _GRAPH), "keeps_rows_apart": keeps_rows_apart}
    (part / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
    put_entry(part, entry)
