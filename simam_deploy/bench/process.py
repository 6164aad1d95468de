"""The parent's end of `bench.worker`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from simam_deploy.bench.asked import Asked
from simam_deploy.bench.worker import command
from simam_deploy.core.specs import TensorSpec, specs_from
from simam_deploy.errors import InputError
from simam_deploy.runtime.protocol import Closing

_TO_END = 5.0
"""Seconds that a process has to end by itself once nothing is ordered any more."""


class Worker(Closing):
    """A process of its own that runs one model; a context manager that ends it.

    Args:
        asked: The model.

    Raises:
        InputError: It cannot be opened, or its process ended.
    """

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self._idle = False
        self._started = time.perf_counter()
        theirs, ours = os.pipe()
        answers, reply = os.pipe()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [*command(asked, theirs, reply)],
            pass_fds=(theirs, reply),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,  # whoever is interrupted, the parent decides
            env={**os.environ, "OMP_NUM_THREADS": str(asked.threads)},
        )
        os.close(theirs)
        os.close(reply)
        self._orders = os.fdopen(ours, "w", buffering=1)
        self._answers = os.fdopen(answers)
        try:
            opened = self._read()
        except BaseException:
            self.close()
            raise
        self.name: str = opened["runner"]
        self.inputs: tuple[TensorSpec, ...] = specs_from(opened["inputs"])

    def first_answer(self, feeds: Path) -> tuple[float, float]:
        """Run once; seconds since the process was started, and those of its processor time."""
        used: float = self.order("answer", feeds=feeds)["processor"]
        return time.perf_counter() - self._started, used

    def order(self, what: str, **more: Any) -> dict[str, Any]:
        """Have something done (`bench.worker`), and give the answer.

        Raises:
            InputError: It cannot be done, or the process ended.
        """
        said = {k: str(v) if isinstance(v, Path) else v for k, v in more.items()}
        try:
            self._orders.write(json.dumps({"do": what, **said}) + "\n")
        except BrokenPipeError:
            raise self._ended() from None
        return self._read()

    def _read(self) -> dict[str, Any]:
        self._idle = False
        line = self._answers.readline()
        self._idle = True
        if not line.endswith("\n"):
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise InputError(answer["error"])
        return answer

    def _ended(self) -> InputError:
        """Say how the process ended, with its last words."""
        code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._said.seek(0)
        words = self._said.read()[-2000:].decode(errors="replace").strip().splitlines()
        last = f": {words[-1]:.200}" if words else ""
        return InputError(f"the process that ran it ended by {how}{last}")

    def close(self) -> None:
        """End the process: by the end of its orders, or else by force."""
        for pipe in (self._orders, self._answers):
            try:
                pipe.close()
            except BrokenPipeError:
                continue  # what was left to write, nobody reads
        try:
            self._process.wait(_TO_END if self._idle else 0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()
