"""What a run of load found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simam_deploy.serve.load.plan import Plan
from simam_deploy.serve.load.traffic import Tally

PERCENTILES = (50, 90, 95, 99)
BUSY = 0.8
"""The share of a core from which the load generator itself may be what is measured."""


@dataclass(frozen=True)
class LoadReport:
    """One run; latencies are milliseconds and those of answered requests alone.

    `unsent` counts what an open loop had scheduled and never sent, and `client_cpu` is the share
    of one core that this process used.
    """

    target: str
    model: str
    plan: Plan
    seconds: float
    answered: int
    unsent: int
    errors: dict[str, int]
    messages: dict[str, str]
    latency_ms: dict[str, float]
    client_cpu: float
    interrupted: bool

    @property
    def goodput(self) -> float:
        """Answered requests a second."""
        return self.answered / self.seconds

    @property
    def client_bound(self) -> bool:
        """True where the load generator, and not the server, may have been the limit."""
        return self.client_cpu > BUSY

    def to_json(self) -> dict[str, Any]:
        """Give the document that `simam load --json` prints."""
        return {
            "target": self.target,
            "model": self.model,
            "loop": "closed" if self.plan.rate is None else "open",
            "clients": self.plan.clients,
            "rate": self.plan.rate,
            "batch": self.plan.batch,
            "seed": self.plan.seed,
            "seconds": round(self.seconds, 3),
            "answered": self.answered,
            "unsent": self.unsent,
            "errors": self.errors,
            "messages": self.messages,
            "goodput": round(self.goodput, 2),
            "items_per_second": round(self.goodput * self.plan.batch, 2),
            "latency_ms": {name: round(value, 3) for name, value in self.latency_ms.items()},
            "client_cpu": round(self.client_cpu, 3),
            "client_bound": self.client_bound,
            "interrupted": self.interrupted,
        }


def percentiles(tally: Tally) -> dict[str, float]:
    """Give p50, p90, p95, p99 and max in milliseconds; nothing where nothing was answered."""
    if not tally.latencies:
        return {}
    taken = np.frombuffer(tally.latencies) * 1e3
    found = np.percentile(taken, PERCENTILES)
    named = {f"p{p}": float(v) for p, v in zip(PERCENTILES, found, strict=True)}
    return {**named, "max": float(taken.max())}
