"""What a command prints to: streams that may be closed, or full, or a terminal.

What cannot be printed ends no work: it goes on, and the exit code says in the end that something
was lost.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO, cast

from simam_deploy.report.terminal import lines


class _Escaping:
    """A text stream that escapes what would steer a terminal, whoever writes it.

    The first write that fails is kept, and what comes after it goes nowhere.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failed: OSError | None = None

    def write(self, text: str) -> int:
        """Write, and count what was asked for."""
        self._tried(lambda: self._stream.write(lines(text)))
        return len(text)

    def writelines(self, texts: Iterable[str]) -> None:
        """Write several."""
        for text in texts:
            self.write(text)

    def flush(self) -> None:
        """Write what is kept back."""
        self._tried(self._stream.flush)

    def _tried(self, step: Callable[[], object]) -> None:
        try:
            step()
        except OSError as error:
            self.failed = self.failed or error
            # Or Python would try again at exit, and complain there by exit code 120.
            _to_nowhere(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _to_nowhere(stream: TextIO) -> None:
    with open(os.devnull, "w") as nowhere, contextlib.suppress(OSError):  # noqa: PTH123
        os.dup2(nowhere.fileno(), stream.fileno())


@contextlib.contextmanager
def printing() -> Iterator[Callable[[int], int]]:
    """Escape, in all that Python prints, what would steer a terminal.

    Here, where every command passes, it cannot be forgotten. After an error that nobody foresaw
    the streams stay as they are: Python prints its traceback when all else has ended.

    Yields:
        What makes the process's exit code of a command's: 1 for 0 where its output was lost, as
        on a disk that is full. A reader that has seen enough, `head` for one, lost nothing.
    """
    _open_closed()
    kept = sys.stdout, sys.stderr
    out, err = (_Escaping(stream) for stream in kept)
    sys.stdout, sys.stderr = (cast("TextIO", stream) for stream in (out, err))
    foreseen = True
    try:
        yield lambda code: _ended(out, code)
    except SystemExit as end:  # of argparse, which has printed the help, or what is wrong
        raise SystemExit(_ended(out, int(end.code or 0))) from None
    except Exception:  # foreseen by nobody: its traceback is to be escaped too
        foreseen = False
        raise
    finally:
        if foreseen:
            err.flush()
            sys.stdout, sys.stderr = kept


def _open_closed() -> None:
    """Open what the caller closed, as by `>&-`, to nowhere.

    Or the next file to be opened, the model that is being written for one, would have the
    descriptor that libraries print to.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
        if getattr(sys, name) is None:
            stream = open(number, "r" if number == 0 else "w", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def _ended(out: _Escaping, code: int) -> int:
    out.flush()
    if out.failed is None or isinstance(out.failed, BrokenPipeError):
        return code
    print(f"simam: error: cannot write to stdout: {out.failed.strerror}", file=sys.stderr)
    return code or 1
