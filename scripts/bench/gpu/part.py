"""A part of what a GPU must show, and the process that it is shown in."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, cast

from gpu.setting import ROOT, Setting
from gpu.table import Cell, Row, Stamp, Table

AGAIN, SKIPPED, FAILED = 75, 76, 77
"""Exit codes: a cell failed, go on in a new process; nothing to show here; it did not begin."""
PARTS_TABLE = "parts"
"""What became of the parts."""
FAKES = ROOT / "tests" / "engine" / "fakes"
FAKE_GPU = {"FAKE_TENSORRT": "tensorrt-11.4.0.106", "FAKE_SM": "90"}


class Home(Protocol):
    """The module that shows a part."""

    def missing(self, setting: Setting) -> str:
        """Say why nothing can be shown here; "" where it can."""
        ...

    def cells(self, setting: Setting) -> Iterable[Cell]:
        """Name what is to be measured, what tells most first."""
        ...

    def measure(self, cell: Cell, setting: Setting) -> Iterable[Row]:
        """Measure a cell; what is wrong has "no" in its column `right`."""
        ...


@dataclass(frozen=True)
class Part:
    """A part.

    Attributes:
        name: Of the part.
        minutes: The most that it may take.
        table: Its file in the folder of results, without the suffix.
        home: Its module, a `Home`.
        asked: The columns that name a cell.
        columns: Those measured.
        shows: For people.
        of: What of several alike it is about.
        fakes: Whether tests' stand-ins for CUDA and TensorRT drive its dry run.
    """

    name: str
    minutes: float
    table: str
    home: str
    asked: Sequence[str]
    columns: Sequence[str]
    shows: str
    of: str = ""
    fakes: bool = False


@dataclass(frozen=True)
class Run:
    """What is the same for all parts of a run: where rows go, and what they say of it."""

    out: Path
    stamp: Stamp
    setting: Setting
    again: bool = False

    def table(self, part: Part) -> Table:
        """Open a part's table."""
        path = self.out / f"{part.table}.csv"
        return Table(path, part.name, part.asked, part.columns, self.stamp)


@dataclass(frozen=True)
class Journal:
    """A file in which a part's process says where it is, for whoever has to end it."""

    path: Path

    def write(self, **said: object) -> None:
        """Say it."""
        self.path.write_text(json.dumps(said))

    def read(self) -> dict[str, object]:
        """Give what was said last."""
        return dict(json.loads(self.path.read_text())) if self.path.exists() else {}


def work(part: Part, run: Run, journal: Journal) -> None:
    """Be the process of a part: measure the cells that are left, and end it."""
    os.setpgrp()  # it is killed with all that it started, and not by the terminal's Ctrl-C
    if run.setting.dry and part.fakes:
        take_fakes()
    try:
        code = go_on(part, run, journal)
    except Exception as error:
        traceback.print_exc()
        journal.write(reason=said_of(error))
        code = FAILED
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # at once: what a library's own end does to the process says nothing of a cell


def go_on(part: Part, run: Run, journal: Journal) -> int:
    """Measure the cells that are left, up to the first that fails; gives the exit code."""
    home = cast(Home, importlib.import_module(part.home))
    setting = replace(run.setting, of=part.of)
    table, nothing = run.table(part), ("",) * len(part.asked)
    if reason := home.missing(setting):
        journal.write(reason=reason)
        table.put(nothing, [{"why": f"skipped: {reason}"}])
        return SKIPPED
    table.put(nothing, [])  # what it was skipped for before
    # What hung before would hang again in front of what was never tried.
    for cell in sorted(home.cells(setting), key=table.failed):
        if table.done(cell, run.again):
            continue
        journal.write(cell=cell)
        try:
            rows = list(home.measure(cell, setting))
        except Exception as error:
            # What CUDA reported once it reports ever after: the next cell gets a new process.
            traceback.print_exc()
            table.put(cell, [{"why": said_of(error)}])
            return AGAIN
        table.put(cell, rows)
        journal.write()  # nothing is on: whatever ends the process now, these rows stay
        for row in rows:
            print(part.name, *cell, *(v for v in row.values() if v != ""), sep="  ", flush=True)
    return 0


def said_of(error: BaseException) -> str:
    """Put an error into a line."""
    text = " ".join(str(error).split())[:400]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def take_fakes() -> None:
    """Have this process find the tests' CUDA and TensorRT, whose GPU computes in host memory."""
    for name in [n for n in sys.modules if n.partition(".")[0] in ("cuda", "tensorrt")]:
        del sys.modules[name]  # torch brings CUDA's bindings along
    sys.path.insert(0, str(FAKES))
    os.environ.update(FAKE_GPU)
    paths = filter(None, (str(FAKES), os.environ.get("PYTHONPATH")))
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)  # for the process that builds
