"""What the load knows of a server, whatever the protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from simam_deploy.core.arrays import Feeds

NOT_CONNECTED = "not connected"
CONNECTION_LOST = "connection lost"
TIMEOUT = "timeout"
UNAVAILABLE = "UNAVAILABLE"  # gRPC's name for both of the first


class Reply(NamedTuple):
    """How a request ended: `status` is "" when it was answered, else a code or a reason."""

    status: str
    message: str = ""


ANSWERED = Reply("")


@dataclass(frozen=True)
class ModelInput:
    """An input by the V2 protocol's names: "FP32" and the like; -1 is a free dimension."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Wire(Protocol):
    """One connection with one request, which it sends again and again."""

    async def send(self) -> Reply:
        """Send the request and wait for its reply; connect first where it is needed."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class Client(Protocol):
    """A server that speaks the V2 protocol."""

    async def models(self) -> list[str]:
        """List the models that are ready.

        Raises:
            InputError: There is no such server, or it does not tell.
        """
        ...

    async def inputs(self, model: str) -> tuple[ModelInput, ...]:
        """Ask for a model's inputs.

        Raises:
            InputError: There is no such server or model.
        """
        ...

    def wire(self, model: str, feeds: Feeds) -> Wire:
        """Make a connection, not open yet, that will ask `model` for its outputs of `feeds`."""
        ...
