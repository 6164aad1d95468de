"""How much load, for how long; within bounds that no mistyped figure leaves."""

from __future__ import annotations

from dataclasses import dataclass

from simam_deploy.errors import UsageError

MAX_SECONDS = 600.0
MAX_RATE = 20_000.0
MAX_CLIENTS = 1_000
MAX_BATCH = 1_024


@dataclass(frozen=True)
class Plan:
    """One run of load.

    Args:
        seconds: How long requests are sent; at most 600. The last answers are waited for.
        clients: Connections, each with one request at a time under way; at most 1,000.
        rate: Requests a second, sent when they are due however the server fares (open loop); at
            most 20,000. None sends the next request of a client when its last is answered
            (closed loop).
        batch: Items in a request; at most 1,024.
        timeout: Seconds until a request counts as failed; at most 600.
        seed: Of the inputs.

    Raises:
        UsageError: A figure is out of its bounds.
    """

    seconds: float = 10.0
    clients: int = 16
    rate: float | None = None
    batch: int = 1
    timeout: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        _check("seconds", self.seconds, MAX_SECONDS)
        _check("clients", self.clients, MAX_CLIENTS)
        _check("batch", self.batch, MAX_BATCH)
        _check("timeout", self.timeout, MAX_SECONDS)
        if self.rate is not None:
            _check("rate", self.rate, MAX_RATE)
        if self.seed < 0:
            raise UsageError(f"seed must not be negative, got {self.seed}", options=("seed",))

    @property
    def arrivals(self) -> int:
        """The number of requests that an open loop schedules."""
        return 0 if self.rate is None else max(1, int(self.rate * self.seconds))


def _check(name: str, value: float, most: float) -> None:
    if not 0 < value <= most:  # so written, it refuses NaN too
        raise UsageError(
            f"{name} must be above 0 and at most {most:g}, got {value:g}", options=(name,)
        )
