"""Run parts one after another, each in a process of its own that is ended at its limit.

A part that fails, hangs or breaks its process leaves the rows it has and one that says why, and the
next one goes on. What was shown of this GPU by these versions is not shown again.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from gpu.part import AGAIN, FAILED, PARTS_TABLE, SKIPPED, Journal, Part, Run, work
from gpu.table import Table

SHOWN, WRONG, FAILING, CUT, SKIP = STATES = ("shown", "wrong", "failed", "cut", "skipped")
LOOK = 0.5
"""Seconds after which the clock is looked at again."""
AT_LIMIT = "it was cut at its limit"
COLUMNS = ("state", "seconds", "cells")
LEAST = 5.0
"""Seconds under which no part is begun: its imports take as long."""
PRELOADED = ("torch", "onnxruntime", "gpu.plans", "simam_deploy.pipeline.build")
"""Imported once in a dry run, by the server that its processes are forked from: 3 of a process's
first 4 seconds. On a GPU each starts anew, for CUDA does not survive a fork."""


@dataclass(frozen=True)
class Outcome:
    """What became of a part: one of `STATES`, and why it is not "shown"."""

    part: str
    state: str
    why: str = ""
    seconds: float = 0
    cells: int = 0

    def __str__(self) -> str:
        why = f": {self.why}" if self.why else ""
        return f"{self.part:20} {self.state:8}{self.seconds:6.0f} s{self.cells:5} cells{why}"


def conduct(parts: Sequence[Part], run: Run, minutes: float) -> Iterator[Outcome]:
    """Run parts in order, for so many minutes in all, and say of each what became of it.

    Whatever ends it, the process of the part that was on is ended and its rows are there.
    """
    end = time.monotonic() + 60 * minutes
    notes = Table(run.out / f"{PARTS_TABLE}.csv", PARTS_TABLE, ("of",), COLUMNS, run.stamp)
    for part in parts:
        known = None if run.again else shown_before(part, notes)
        if known is not None:
            yield known
            continue
        left = end - time.monotonic()
        if left < LEAST:
            outcome = Outcome(part.name, CUT, f"none of the {minutes:g} minutes was left")
        else:
            print(f"{part.name}: {part.shows} ...", flush=True)
            outcome = attend(part, run, min(left, 60 * part.minutes), notes)
        note(outcome, notes)
        yield outcome


def shown_before(part: Part, notes: Table) -> Outcome | None:
    """Give what came of a part before, where all of it was measured."""
    for row in notes.alike():
        if row["of"] == part.name and row["state"] in (SHOWN, WRONG):
            why = row["why"] or f"on {row['date']}"
            return Outcome(part.name, row["state"], why, float(row["seconds"]), int(row["cells"]))
    return None


def note(outcome: Outcome, notes: Table) -> None:
    """Write a part's row of the table of parts."""
    right = {SHOWN: "yes", WRONG: "no"}.get(outcome.state, "")
    figures = {"seconds": round(outcome.seconds), "cells": outcome.cells}
    row = {"state": outcome.state, **figures, "right": right, "why": outcome.why}
    notes.put((outcome.part,), [row])


def attend(part: Part, run: Run, seconds: float, notes: Table) -> Outcome:
    """Run a part, in a new process after each cell that failed, for so many seconds."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal")
        try:
            state, why = _processes(part, run, journal, started + seconds)
        except KeyboardInterrupt:
            _give_up_cell(part, run, journal, "interrupted")
            note(_judged(part, run, CUT, "interrupted", time.monotonic() - started), notes)
            raise
    return _judged(part, run, state, why, time.monotonic() - started)


def _processes(part: Part, run: Run, journal: Journal, end: float) -> tuple[str, str]:
    """Start processes until one is through; give the state and why it is not "shown"."""
    while True:
        journal.path.unlink(missing_ok=True)
        code = _process(part, run, journal, end)
        reason = str(journal.read().get("reason", ""))
        if code is None:
            _give_up_cell(part, run, journal, AT_LIMIT)
            return CUT, AT_LIMIT
        if code in (0, SKIPPED, FAILED):
            return {0: SHOWN, SKIPPED: SKIP, FAILED: FAILING}[code], reason
        if code != AGAIN and not _give_up_cell(part, run, journal, _ended(code)):
            return FAILING, _ended(code)


def _process(part: Part, run: Run, journal: Journal, end: float) -> int | None:
    """Run one process of a part; give its exit code, None where it had to be killed."""
    process = _starting(part, run, journal)
    process.start()
    try:
        while process.exitcode is None and time.monotonic() < end:
            process.join(LOOK)
        return process.exitcode
    finally:
        _kill(process)


def _starting(part: Part, run: Run, journal: Journal) -> BaseProcess:
    """Give the process of a part, which is to be started."""
    given = part, run, journal
    if not run.setting.dry:
        return multiprocessing.get_context("spawn").Process(target=work, args=given)
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(list(PRELOADED))
    return server.Process(target=work, args=given)


def _kill(process: BaseProcess) -> None:
    """End a process and all that it started, should any of them run still."""
    assert process.pid is not None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join(30)  # one that waits inside a driver can not be ended sooner than that returns


def _give_up_cell(part: Part, run: Run, journal: Journal, why: str) -> bool:
    """Write why the cell that was on has no figures; tell whether one was on."""
    cell = journal.read().get("cell")
    if not isinstance(cell, list):
        return False
    run.table(part).put(tuple(map(str, cell)), [{"why": why}])
    return True


def _ended(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}"
    return f"its process was ended by {signal.Signals(-code).name}"


def _judged(part: Part, run: Run, state: str, why: str, seconds: float) -> Outcome:
    """Hold a state against the rows: what is wrong or has no figures is not shown."""
    rows = run.table(part).alike() if state != SKIP else []
    cells = {tuple(row[column] for column in part.asked) for row in rows}
    failures = [row["why"] for row in rows if row["why"]]
    wrong = Counter(row["right"] for row in rows)["no"]
    if state == SHOWN and not cells:
        state, why = FAILING, "it has nothing to show"
    elif state == SHOWN and wrong:
        state, why = WRONG, f"{wrong} of {len(rows)} rows are wrong"
    elif state == SHOWN and failures:
        state, why = FAILING, f"{len(failures)} without figures, the first: {failures[0]}"
    elif wrong:
        why = f"{why}; {wrong} of {len(rows)} rows are wrong"
    return Outcome(part.name, state, why, seconds, len(cells))
