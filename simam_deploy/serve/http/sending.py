"""How answers are sent: whole ones, in pieces that wait until their client has read the last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import orjson

from simam_deploy.serve.http.asgi import Scope, Send
from simam_deploy.serve.http.connection import GuardedProtocol
from simam_deploy.serve.http.plain import RETRY_AFTER
from simam_deploy.serve.protocol.refusals import Busy, Refusal, Unauthorized

JSON = (b"content-type", b"application/json")
BINARY = (b"content-type", b"application/octet-stream")
PIECE = 256 << 10
"""Bytes that are handed on at a time: to encrypt 64 MB in one go keeps the loop for 60 ms."""


async def send_pieces(
    send: Send,
    status: int,
    pieces: Sequence[bytes],
    kind: tuple[bytes, bytes],
    *extra: tuple[bytes, bytes],
) -> None:
    """Send a whole answer, which comes in pieces."""
    left = sum(map(len, pieces))
    headers = [kind, (b"content-length", b"%d" % left), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for part in [b"".join(pieces)] if left <= PIECE else _parts(pieces):
        left -= len(part)
        await send({"type": "http.response.body", "body": part, "more_body": left > 0})


def _parts(pieces: Iterable[bytes]) -> Iterator[bytes | memoryview]:
    """Put small pieces together, and take large ones apart."""
    small: list[bytes] = []
    size = 0
    for piece in pieces:
        if small and size + len(piece) > PIECE:
            yield b"".join(small)
            small, size = [], 0
        if len(piece) > PIECE:
            yield from (memoryview(piece)[i : i + PIECE] for i in range(0, len(piece), PIECE))
        else:
            small.append(piece)
            size += len(piece)
    if small:
        yield b"".join(small)


def refusal_headers(refusal: Refusal) -> dict[str, str]:
    """Give the headers that go with a refusal."""
    if isinstance(refusal, Busy):
        return {"retry-after": RETRY_AFTER}
    return {"www-authenticate": "Bearer"} if isinstance(refusal, Unauthorized) else {}


async def send_refusal(refusal: Refusal, scope: Scope, send: Send) -> None:
    """Send a refusal in the protocol's form; after a 503 the connection rests."""
    extra = [(k.encode(), v.encode()) for k, v in refusal_headers(refusal).items()]
    body = orjson.dumps({"error": str(refusal)})
    await send_pieces(send, refusal.status, [body], JSON, *extra)
    connection: GuardedProtocol | None = scope.get("connection")
    if connection is not None and isinstance(refusal, Busy):
        connection.hold()
