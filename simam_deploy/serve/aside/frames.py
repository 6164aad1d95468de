"""How the two processes talk: buffers, with their number and lengths in front."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

import numpy as np

_LENGTH = struct.Struct("<Q")
Buffer = bytes | memoryview


def send(sock: socket.socket, parts: Sequence[Buffer]) -> None:
    """Send buffers."""
    lengths = [memoryview(part).nbytes for part in parts]
    sock.sendall(b"".join(_LENGTH.pack(number) for number in (len(parts), *lengths)))
    for part in parts:
        sock.sendall(part)


def receive(sock: socket.socket) -> list[memoryview]:
    """Receive buffers.

    Raises:
        EOFError: The other side has gone.
    """
    (count,) = _LENGTH.unpack(_exactly(sock, _LENGTH.size))
    lengths = [_LENGTH.unpack(_exactly(sock, _LENGTH.size))[0] for _ in range(count)]
    return [_exactly(sock, length) for length in lengths]


def _exactly(sock: socket.socket, length: int) -> memoryview:
    whole = np.empty(length, np.uint8).data  # a bytearray is filled with zeros, at one go
    rest = whole
    while rest:
        got = sock.recv_into(rest)
        if not got:
            raise EOFError
        rest = rest[got:]
    return whole
