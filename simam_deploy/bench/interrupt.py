"""Ctrl-C and SIGTERM, taken for the wish to stop and keep what there is."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


class Stop:
    """Whether somebody asked to stop."""

    asked = False


class _StoppedError(BaseException):
    """Unwinds what is being measured. Not KeyboardInterrupt: C extensions remember that one."""


@contextlib.contextmanager
def stoppable() -> Iterator[Stop]:
    """Leave the block at Ctrl-C or SIGTERM, as if it were done; a second one is anybody's."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    signals = signal.SIGINT, signal.SIGTERM
    before = [signal.getsignal(number) for number in signals]

    def interrupt(number: int, frame: object) -> None:
        stop.asked = True
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)
        raise _StoppedError

    for number in signals:
        signal.signal(number, interrupt)
    try:
        with contextlib.suppress(_StoppedError):
            yield stop
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
