"""The access log: a line of JSON for each request, when it is over.

A thread of its own writes, so that a slow disk or a full pipe holds up no request: lines wait in
a queue of `WAITING`, and what does not fit is left out and counted. A file that was renamed, as
logrotate does, is opened anew.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import sys
import threading
import time
from datetime import datetime, timezone
from logging.handlers import WatchedFileHandler
from typing import Any

from simam_deploy.errors import InputError
from simam_deploy.serve.models.seen import Seen

WAITING = 10_000
"""Lines: three seconds of the fastest load that was measured here."""
_LONGEST = 200
"""Characters of a path: the rest is a client's noise."""


class AccessLog:
    """Writes lines until it is closed.

    Args:
        place: A file, which is appended to, or "-" for stdout.

    Raises:
        InputError: The file cannot be written.
    """

    def __init__(self, place: str) -> None:
        self._handler = _opened(place)
        self._lines: queue.Queue[str | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._write, name="access log", daemon=True)
        self.lost = 0
        self._thread.start()

    def end(self, seen: Seen, trace_id: str = "") -> None:
        """Write down a request that is over; never waits."""
        try:
            self._lines.put_nowait(json.dumps(entry(seen, trace_id)))
        except queue.Full:
            self.lost += 1

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            self._handler.emit(logging.makeLogRecord({"msg": line}))

    def close(self, patience: float = 5.0) -> None:
        """Write what waits; a place that takes nothing within `patience` seconds is left."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=patience)
        self._thread.join(patience)
        if not self._thread.is_alive():
            self._handler.close()


def entry(seen: Seen, trace_id: str = "") -> dict[str, Any]:
    """Say of a request what a line says; times in milliseconds, what is not known left out."""
    took = time.perf_counter_ns() - seen.began
    name, version = seen.model
    computed = {}
    if seen.batch is not None:
        timing = seen.batch.timing
        computed = {
            "rows": seen.rows,
            "batch_rows": seen.batch.rows,
            "batch_requests": len(seen.batch.members),
            "queue_ms": _ms(timing.taken - seen.queued_at),
            "compute_ms": _ms(timing.split - timing.taken),
        }
    return {
        "time": datetime.fromtimestamp(seen.at(seen.began) / 1e9, timezone.utc).isoformat(
            timespec="milliseconds"
        ),
        "transport": seen.transport,
        "client": seen.client,
        "method": seen.method,
        **({"path": seen.path[:_LONGEST]} if seen.path else {}),
        "status": seen.status,
        "ms": _ms(took),
        "bytes_in": seen.received,
        "bytes_out": seen.sent,
        **({"model": name, "version": version} if name else {}),
        **computed,
        **({"trace_id": trace_id} if trace_id else {}),
    }


def _ms(nanoseconds: int) -> float:
    return round(nanoseconds / 1e6, 3)


def _opened(place: str) -> logging.Handler:
    """Open the log.

    Raises:
        InputError: It cannot be written.
    """
    if place == "-":
        return _Stream(sys.stdout)
    try:
        return _File(place, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write the access log {place}: {error.strerror}") from error


class _Silent(logging.Handler):
    """Does not tell stderr, line by line and with a traceback, that a disk is full."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        pass


class _File(_Silent, WatchedFileHandler):
    pass


class _Stream(_Silent, logging.StreamHandler[Any]):
    pass
