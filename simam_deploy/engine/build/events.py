"""What the building process tells its parent: a line of JSON an event, written and read here alone.

The library shares the process: it may end in the middle of a line, and write where it likes. A
line that was broken off is no event, for the end of the process says more; any other line that is
none of ours is an error, for nobody knows then what was built.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from simam_deploy.errors import EngineError

Tell = Callable[[str, Any], None]

LARGEST = 1 << 26
"""Bytes of a line; the inspector's words on a ResNet-152, the longest, are 2 MB."""
_SHOWN = 60
_FIELDS: Mapping[str, Mapping[str, type]] = {
    "done": {"version": str, "peak_memory": int, "inspection": str, "types": dict},
    "error": {"message": str, "exit_code": int},
}
_WORDS = ("step", "warning", "failure")


def teller(pipe: int) -> Tell:
    """Give a function that writes an event whole; when nobody reads any more, the process ends.

    Args:
        pipe: A file descriptor. The library tells from threads of its own.
    """
    turn = threading.Lock()

    def tell(event: str, value: Any) -> None:
        rest = json.dumps({"event": event, "value": value}).encode() + b"\n"
        try:
            with turn:
                while rest:
                    rest = rest[os.write(pipe, rest) :]
        except BrokenPipeError:
            os._exit(1)

    return tell


def read_events(pipe: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """Yield events, each with its value, until the process closes the pipe or ends.

    Raises:
        EngineError: A line is no event.
    """
    while line := pipe.readline(LARGEST):
        if line.endswith(b"\n"):
            yield _event(line)
        elif len(line) == LARGEST:
            raise EngineError(f"the building process told a line of more than {LARGEST} bytes")


def _event(line: bytes) -> tuple[str, Any]:
    try:
        told = json.loads(line)
        event, value = told["event"], told["value"]
        fields = _FIELDS.get(event)
        right = isinstance(value, str) if fields is None else _holds(value, fields)
    except (ValueError, RecursionError, LookupError, TypeError):
        right = False
    if not right or event not in (*_FIELDS, *_WORDS):
        shown = line.decode("ascii", "replace").strip()[:_SHOWN]
        raise EngineError(f"the building process told {shown!r}, which is no event of a build")
    return event, value


def _holds(value: Mapping[str, Any], fields: Mapping[str, type]) -> bool:
    return all(isinstance(value[name], kind) for name, kind in fields.items())
