"""Answers that are written without a request's cycle: whole, and the last of their connection."""

from __future__ import annotations

import orjson

RETRY_AFTER = "1"
"""Seconds, as the header says it."""


def plain_response(status: str, message: str, extra: bytes = b"") -> bytes:
    """Write a whole HTTP answer that closes the connection."""
    body = orjson.dumps({"error": message})
    return b"".join(
        (
            f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n".encode(),
            b"content-type: application/json\r\nconnection: close\r\n",
            extra,
            b"\r\n",
            body,
        )
    )


OVER_CAP = plain_response(
    "503 Service Unavailable",
    "too many connections",
    f"retry-after: {RETRY_AFTER}\r\n".encode(),
)
