"""The end of an HTTP server: what was accepted is answered, for as long as that may take."""

from __future__ import annotations

import asyncio
import time

import uvicorn

_STEP = 0.02
"""Seconds between two looks at what is left."""


async def end_connections(http: uvicorn.Server, seconds: float) -> None:
    """Close what is idle, wait for what is not, and cut off what is left.

    uvicorn's own end cancels what is left with a traceback for each.

    Args:
        http: The server.
        seconds: To wait, at most; not at all once its `force_exit` is set.
    """
    state = http.server_state
    for connection in list(state.connections):
        connection.shutdown()
    end = time.monotonic() + seconds
    while (state.connections or state.tasks) and time.monotonic() < end and not http.force_exit:
        await asyncio.sleep(_STEP)
    for connection in list(state.connections):
        connection.abort()  # type: ignore[union-attr]  # all are GuardedProtocols
    for task in (tasks := list(state.tasks)):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
