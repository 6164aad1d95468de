"""What travels between a codec and a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from simam_deploy.core.arrays import Feeds
from simam_deploy.serve.protocol.refusals import BadRequest


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

    def __post_init__(self) -> None:
        """See that no output is asked for twice: 181 KB of one name made an answer of 822 MB.

        Raises:
            BadRequest: One is.
        """
        seen = set()
        for output in self.wanted or ():
            if output.name in seen:
                raise BadRequest(f"the output {output.name!r:.80} is requested more than once")
            seen.add(output.name)


def read_timeout(microseconds: Any) -> float | None:
    """Turn the request parameter `timeout`, in microseconds, into seconds; 0 and None are none.

    Raises:
        BadRequest: It is no number of microseconds.
    """
    if microseconds is None or microseconds == 0:
        return None
    if type(microseconds) is not int or microseconds < 0:
        raise BadRequest(f"'timeout' must be microseconds, got {microseconds!r:.40}")
    return microseconds / 1e6
