"""The process's own side: do what is asked, until nobody asks any more."""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import signal
import socket
import sys
import traceback

from simam_deploy.serve.aside.frames import Buffer, receive, send
from simam_deploy.serve.protocol.refusals import INTERNAL, Refusal

MEMORY = 1 << 30
"""Bytes that it may take."""
DONE, REFUSED = b"done", b"refused"


def main(descriptor: int) -> None:
    """Serve the process at the other end of a socket; end when it does.

    Args:
        descriptor: Of the socket.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # as sent to a whole group: the server says when
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    gc.disable()  # it looks millions of lists through again and again: 2.3 s for 0.4
    with socket.socket(fileno=descriptor) as sock:
        while True:
            try:
                function, told, content = receive(sock)
            except (EOFError, ConnectionError):
                return
            answer = _done(bytes(function).decode(), json.loads(bytes(told)), content)
            del content
            send(sock, answer)
            gc.collect()


def _done(function: str, told: dict[str, object], content: memoryview) -> list[Buffer]:
    """Do one thing; what it is answered begins with what became of it."""
    module, _, name = function.partition(":")
    try:
        return [DONE, *getattr(importlib.import_module(module), name)(content, told)]
    except Refusal as refusal:
        return _refused(refusal)
    except (MemoryError, SystemError):  # orjson's, where it ran out of memory
        os._exit(1)  # at once, and the next one has a whole process
    except Exception:  # a bug of ours: logged whole, told in one word
        traceback.print_exc(file=sys.stderr)
        return _refused(Refusal(INTERNAL))


def _refused(refusal: Refusal) -> list[Buffer]:
    return [REFUSED, type(refusal).__name__.encode(), str(refusal).encode(errors="replace")]
