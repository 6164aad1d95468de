"""What every command does with its process: errors to exit codes, signals, memory, progress."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import difflib
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from simam_deploy.cli.commands import ASKED
from simam_deploy.cli.given import check_given
from simam_deploy.cli.help import HelpText
from simam_deploy.cli.options import worded
from simam_deploy.cli.streams import printing
from simam_deploy.core.version import __version__
from simam_deploy.errors import SimamError
from simam_deploy.report.power_text import ADVICE
from simam_deploy.report.terminal import one_line

INTERRUPTED = 130
_M_MMAP_THRESHOLD = -3
_MMAP_FROM = 1 << 20
_OPTION, _NEGATIVE = re.compile(r"--[a-z][a-z-]*"), re.compile(r"-\d")


def run(
    parser: argparse.ArgumentParser,
    command: Callable[[argparse.Namespace], None],
    argv: Sequence[str] | None,
) -> int:
    """Run a command by its command line; nothing that it prints steers a terminal.

    Returns:
        0, the error's exit code, or 130 after Ctrl-C or SIGTERM.
    """
    parser = with_version(parser)
    parser.formatter_class = HelpText
    vars(parser)["color"] = False  # of Python 3.14, whose escapes would be shown as such
    if ASKED in os.environ:
        from simam_deploy.cli.tab import complete

        complete(parser)
    with printing() as ended:
        args = _parsed(parser, _joined(sys.argv[1:] if argv is None else argv))
        return ended(_exit_code(parser, args, command))


def with_version(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Give a command's parser the option that every command has."""
    version = f"simam-deploy {__version__}"
    parser.add_argument("--version", action="version", version=version, help="print it, and end")
    return parser


def _parsed(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Parse, and say of an option that is none which one comes near."""
    args, strange = parser.parse_known_args(words)
    if strange:
        known = [option for action in parser._actions for option in action.option_strings]
        option = next((word.partition("=")[0] for word in strange if word.startswith("-")), "")
        near = difflib.get_close_matches(option, known, 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        parser.error(f"unrecognized arguments: {' '.join(strange)}{meant}")
    return args


def _joined(words: Sequence[str]) -> list[str]:
    """Join a value like -1x3x224x224 to its option, for argparse would take it for another."""
    joined: list[str] = []
    for word in words:
        if joined and _OPTION.fullmatch(joined[-1]) and _NEGATIVE.match(word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _exit_code(
    parser: argparse.ArgumentParser,
    args: argparse.Namespace,
    command: Callable[[argparse.Namespace], None],
) -> int:
    """Run a command; print what it raises on purpose as one line on stderr."""
    try:
        with _interruptible():
            check_given(parser, args)
            command(args)
    except SimamError as error:
        print(f"simam: error: {worded(error, parser)}", file=sys.stderr)
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


_came: list[int] = []
"""The signals that came; a library may swallow what was raised for them, as onnxsim does, which
tries to import ONNX Runtime and goes on without it. The next step then does not begin."""


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM unwind the stack, so that staged files are taken away."""
    _came.clear()

    def interrupt(number: int, frame: object) -> None:
        _came.append(number)
        raise _InterruptedError

    signals = signal.SIGINT, signal.SIGTERM
    before = [signal.signal(number, interrupt) for number in signals]
    try:
        yield
    except BaseException as error:
        if _came:  # whatever a library made of it: ONNX Runtime's import an ImportError
            raise _InterruptedError from error
        raise
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def warn_unproved(passed: bool, proved: bool) -> None:
    """Say aloud of what passed that it proves nothing, and what would."""
    if passed and not proved:
        print(f"simam: NOT PROVED: {ADVICE} (--data)", file=sys.stderr)


def warn_contradictions(document: Mapping[str, Any]) -> None:
    """Say aloud where a file says other than a user, or than its network's code."""
    for line in document.get("contradictions", ()):
        print(f"simam: CONTRADICTION: {one_line(line)}", file=sys.stderr)


def return_freed_memory() -> None:
    """Have glibc give blocks of 1 MiB and more back to the system as soon as they are freed.

    By default it keeps what was freed below 32 MiB: ONNX Runtime, loading a 98 MB ResNet-50,
    then holds 254 MB more instead of 110 MB. A process-wide setting, so for commands alone.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_FROM)


def wait_asleep() -> None:
    """Have the threads of OpenMP, which torch computes with, sleep while they wait for each other.

    By default they spin: beside others' work an export of a ResNet-50 then took 27 to 49 s and 30 s
    of processor time for 18 to 20 and 21. Read once, when torch is imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class Steps:
    """Announces each step on stderr with the time since the start; in place on a terminal."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._started = time.perf_counter()

    def __call__(self, step: str) -> None:
        """Announce one step; an interruption that a library made away with ends the work here."""
        if _came:
            raise _InterruptedError
        if not self._quiet:
            elapsed = time.perf_counter() - self._started
            print(f"[{elapsed:5.1f} s] {one_line(step)} ...", file=sys.stderr, flush=True)
