"""What every command does with its process: errors to exit codes, signals, memory, progress."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

from simam_deploy.errors import SimamError

INTERRUPTED = 130
_M_MMAP_THRESHOLD = -3
_MMAP_FROM = 1 << 20


def exit_code(command: Callable[[], None]) -> int:
    """Run a command; print what it raises on purpose as one line on stderr.

    Returns:
        0, the error's exit code, or 130 after Ctrl-C or SIGTERM.
    """
    try:
        with _interruptible():
            command()
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output, `head` for one, has seen enough. Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except SimamError as error:
        print(f"simam: error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except _InterruptedError:
        print("simam: interrupted; nothing was left behind", file=sys.stderr)
        return INTERRUPTED
    return 0


class _InterruptedError(BaseException):
    """Ctrl-C or SIGTERM.

    Not KeyboardInterrupt: where one passes through code that a C extension runs (torch does while
    it is imported), CPython remembers it and ends the process by SIGINT whatever exit code is
    asked for.
    """


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM unwind the stack, so that staged files are taken away."""

    def interrupt(number: int, frame: object) -> None:
        raise _InterruptedError

    signals = signal.SIGINT, signal.SIGTERM
    before = [signal.signal(number, interrupt) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def return_freed_memory() -> None:
    """Have glibc give blocks of 1 MiB and more back to the system as soon as they are freed.

    By default it keeps what was freed below 32 MiB: ONNX Runtime, loading a 98 MB ResNet-50,
    then holds 254 MB more instead of 110 MB. A process-wide setting, so for commands alone.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_FROM)


class Steps:
    """Announces each step on stderr with the time since the start; in place on a terminal."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._started = time.perf_counter()

    def __call__(self, step: str) -> None:
        """Announce one step."""
        if not self._quiet:
            elapsed = time.perf_counter() - self._started
            print(f"[{elapsed:5.1f} s] {step} ...", file=sys.stderr, flush=True)
