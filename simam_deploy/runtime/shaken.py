"""A runner whose floating inputs are off by up to a unit in the last place."""

from __future__ import annotations

import numpy as np

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.runtime.protocol import Closing, Runner


class Shaken(Closing):
    """Wraps a runner whose layers cannot be reached, to see what it makes of rounding.

    Args:
        runner: The runner; it is closed with this one.
        noise: Every input is multiplied by 1 + u, u drawn evenly from [-noise, noise].
    """

    def __init__(self, runner: Runner, noise: float) -> None:
        self.name = runner.name
        self.inputs = runner.inputs
        self.outputs = runner.outputs
        self._runner = runner
        self._noise = noise

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Compute every output, keyed by name, for the disturbed inputs."""
        rng = np.random.default_rng(0)
        return self._runner.run({name: self._disturb(a, rng) for name, a in feeds.items()})

    def _disturb(self, array: Array, rng: np.random.Generator) -> Array:
        if not np.issubdtype(array.dtype, np.floating):
            return array
        factor = 1 + rng.uniform(-self._noise, self._noise, array.shape)
        return (array * factor).astype(array.dtype)

    def close(self) -> None:
        """Close the runner."""
        self._runner.close()
