"""What travels between a codec and a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simam_deploy.core.arrays import Feeds


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output that a request asks for, and whether as raw bytes."""

    name: str
    binary: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A request, read and checked.

    Attributes:
        feeds: One array per input of the model.
        wanted: The outputs to answer with; None for all of them, as `binary` says.
        binary: Whether outputs go out as raw bytes where nothing else is said.
        request_id: Sent back as it came.
        timeout: Seconds that the request grants, None for the server's own limit.
    """

    feeds: Feeds
    wanted: Sequence[Wanted] | None = None
    binary: bool = False
    request_id: str = ""
    timeout: float | None = None
