"""Statistics of SimAM's gates in production: an input that changed shows there first.

A gate is sigmoid(d^2 / (4 (v + lambda)) + 0.5), and d^2 is v on average: over any input whose
variance is well above lambda a site's gates have a mean near 0.67. Pictures that come in 0 to 1
where 0 to 255 was trained on, a dead sensor or a wrong recipe let v fall to lambda and below: the
gates then all become sigmoid(0.5) = 0.6225, and outputs go on looking like outputs.

One request in a while is computed a second time by the graph that gives its sites' maps
(`Attention`), beside the requests and after its answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.serve.models.attention import Attention
from simam_deploy.serve.protocol.refusals import Refusal

CLOSED = 0.6225
"""sigmoid(0.5), to four places: what a gate is where a pixel is its channel's mean."""
_OPEN = 1e-3
"""Above that a gate tells its pixel from the rest."""


@dataclass(frozen=True)
class SiteGates:
    """The gates of one site for one request.

    Attributes:
        mean: Over all of them.
        std: Their standard deviation.
        closed: The share within a thousandth of `CLOSED`.
    """

    mean: float
    std: float
    closed: float


def gates_of(gates: Array) -> SiteGates:
    """Sum up a site's gates, of any shape."""
    closed = float(np.mean(gates < CLOSED + _OPEN))
    return SiteGates(float(gates.mean()), float(gates.std()), closed)


class GateWatch:
    """Looks at a model's gates, once in a while.

    Args:
        attention: Shows them.
        interval: Seconds between two requests that are looked at; 0 for none.

    Attributes:
        sites: What the last one showed, by site.
        count: How many were looked at.
        note: Why there are none; "" where there are, or nobody asked yet.

    For the event loop's thread.
    """

    def __init__(
        self, attention: Attention, interval: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.sites: dict[str, SiteGates] = {}
        self.count = 0
        self.note = ""
        self._attention = attention
        self._interval = interval
        self._clock = clock
        self._next = 0.0
        self._task: asyncio.Task[None] | None = None

    def offer(self, feeds: Feeds) -> None:
        """Look at a request that was computed, if it is time to; nobody waits for it."""
        busy = self._task is not None and not self._task.done()
        if not self._interval or self.note or busy or self._clock() < self._next:
            return
        self._next = self._clock() + self._interval
        self._task = asyncio.get_running_loop().create_task(self._look(feeds))

    async def _look(self, feeds: Feeds) -> None:
        try:
            self.sites = await asyncio.to_thread(self._attention.gates, feeds, gates_of)
        except Refusal as why:
            self.note = str(why)
        else:
            self.count += 1
