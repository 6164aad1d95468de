"""A runner whose floating inputs are off by up to a unit in the last place."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simam_deploy.runtime.protocol import Arrays, Closing, Runner


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

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[Any]]:
        """Compute every output, keyed by name, for the disturbed inputs."""
        rng = np.random.default_rng(0)
        return self._runner.run({name: self._disturb(a, rng) for name, a in feeds.items()})

    def _disturb(self, array: npt.NDArray[Any], rng: np.random.Generator) -> npt.NDArray[Any]:
        if not np.issubdtype(array.dtype, np.floating):
            return array
        factor = 1 + rng.uniform(-self._noise, self._noise, array.shape)
        return (array * factor).astype(array.dtype)

    def close(self) -> None:
        """Close the runner."""
        self._runner.close()
