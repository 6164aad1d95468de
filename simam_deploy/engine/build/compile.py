"""Have a plan built by a child process, and tell what came of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from simam_deploy.core.progress import Progress
from simam_deploy.engine.build.child import command
from simam_deploy.engine.build.events import read_events
from simam_deploy.engine.flavours.choose import FLAVOURS
from simam_deploy.engine.request import BuildRequest
from simam_deploy.errors import EngineError, UsageError

_LAST = 1 << 16
"""Bytes of what the process wrote to its terminal, of which a message quotes the last line."""


@dataclass(frozen=True)
class Compiled:
    """A build that went well: what the library is and said, and what the process took.

    `seconds` is wall time, `peak_memory` in bytes, `inspection` the engine inspector's JSON, ""
    without a device, `types` TensorRT's names of the types of inputs and outputs, by their names.
    """

    version: str
    warnings: tuple[str, ...]
    seconds: float
    peak_memory: int
    inspection: str
    types: Mapping[str, str]


def compile_plan(request: BuildRequest, plan: Path, log: Path, progress: Progress) -> Compiled:
    """Build the plan of a request in a process of its own.

    Args:
        request: The build.
        plan: File for the plan.
        log: File for what the library says.
        progress: Told each phase.

    Raises:
        EngineError: The library does not take the graph, fails, or aborts its process; the
            message holds the library's own words.
        UsageError: It does not know a target.
    """
    started = time.perf_counter()
    said: dict[str, list[Any]] = {"failure": [], "warning": [], "done": [], "error": []}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as shouts:
        with _running(request, plan, log, folder, shouts) as (process, events):
            for event, value in read_events(events):
                if event == "step":
                    progress(value)
                else:
                    said[event].append(value)
            status = process.wait()
        words = _end_of(shouts)
    if not said["done"]:
        raise _explained(request, said, status, words)
    return _compiled(said["done"][0], said["warning"], time.perf_counter() - started)


@contextlib.contextmanager
def _running(
    request: BuildRequest, plan: Path, log: Path, folder: str, shouts: IO[bytes]
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Start the child; however the block is left, it runs no longer."""
    reading, writing = os.pipe()
    events = os.fdopen(reading, "rb")
    try:
        process = subprocess.Popen(
            list(command(request, plan, log, writing)),
            pass_fds=(writing,),
            stdin=subprocess.DEVNULL,
            stdout=shouts,
            stderr=shouts,
            env={**os.environ, **FLAVOURS[request.flavour].environment(folder)},
        )
    finally:
        os.close(writing)
    try:
        yield process, events
    finally:
        process.kill()
        process.wait()
        events.close()


def _end_of(shouts: IO[bytes]) -> str:
    """Read the last that the process wrote to its terminal, in whatever encoding."""
    shouts.seek(max(0, shouts.seek(0, os.SEEK_END) - _LAST))
    return shouts.read().decode(errors="replace")


def _compiled(done: Mapping[str, Any], warnings: list[str], seconds: float) -> Compiled:
    once = tuple(dict.fromkeys(" ".join(w.split()) for w in warnings))
    return Compiled(
        version=done["version"],
        warnings=once,
        seconds=seconds,
        peak_memory=done["peak_memory"],
        inspection=done["inspection"],
        types=done["types"],
    )


def _explained(
    request: BuildRequest, said: Mapping[str, list[Any]], status: int, shouts: str
) -> EngineError | UsageError:
    """Make one message of what the child told before its end."""
    failures = [" ".join(f.split()) for f in said["failure"]]
    if said["error"]:
        error = said["error"][0]
        if error["exit_code"] == UsageError.exit_code:
            return UsageError(error["message"], options=error["options"])
        quoted = f": {failures[0]}" if failures and failures[0] not in error["message"] else ""
        return EngineError(f"{error['message']}{quoted}", options=error["options"])
    title = FLAVOURS[request.flavour].title
    how = f"signal {_signal(-status)}" if status < 0 else f"exit code {status}"
    words = "; ".join([*failures, *shouts.strip().splitlines()[-1:]]) or "no word of why"
    return EngineError(f"{title} ended its process by {how} while it built: {words}")


def _signal(number: int) -> str:
    """Name a signal; real-time signals have a number alone."""
    names = {s.value: s.name for s in signal.Signals}
    return names.get(number, str(number))
