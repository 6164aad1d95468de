"""A runner under the names of another."""

from __future__ import annotations

from dataclasses import replace

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.specs import TensorSpec
from simam_deploy.runtime.protocol import Closing, Runner


class Renamed(Closing):
    """Wraps a runner whose inputs and outputs are called otherwise.

    Args:
        runner: The runner; it is closed with this one.
        inputs: What its inputs shall be called, in its order.
        outputs: What its outputs shall be called, in its order; those beyond keep their names.
    """

    def __init__(self, runner: Runner, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        self.name = runner.name
        self.inputs = _renamed(runner.inputs, inputs)
        self.outputs = _renamed(runner.outputs, outputs)
        self._runner = runner

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Compute every output, keyed by its new name."""
        own = zip(self._runner.inputs, self.inputs, strict=True)
        got = self._runner.run({theirs.name: feeds[spec.name] for theirs, spec in own})
        both = zip(self._runner.outputs, self.outputs, strict=True)
        return {spec.name: got[theirs.name] for theirs, spec in both}

    def close(self) -> None:
        """Close the runner."""
        self._runner.close()


def _renamed(specs: tuple[TensorSpec, ...], names: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    new = [replace(spec, name=name) for spec, name in zip(specs, names, strict=False)]
    return (*new, *specs[len(names) :])
