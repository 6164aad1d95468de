"""A plan's outputs held against ONNX Runtime's on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simam_deploy.core.arrays import Feeds
from simam_deploy.core.specs import Shapes, TensorSpec
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.runtime.protocol import Runner
from simam_deploy.verify.outputs import moved
from simam_deploy.verify.tolerance import TOLERANCES


@dataclass(frozen=True)
class Reference:
    """Inputs and what ONNX Runtime makes of them."""

    cases: Sequence[Feeds]
    expected: Sequence[Feeds]

    def error(self, runner: Runner, index: int | None = None) -> float:
        """Give the largest difference over the output's largest value, of one case or of all."""
        numbers = range(len(self.cases)) if index is None else (index,)
        return max(
            moved(self.expected[number][name], got)
            for number in numbers
            for name, got in runner.run(self.cases[number]).items()
        )


def reference(onnx: Path, shapes: Sequence[Shapes]) -> Reference:
    """Draw inputs of these shapes and run the file on them."""
    with OnnxRunner(onnx) as runner:
        cases = [feeds(runner.inputs, each, seed) for seed, each in enumerate(shapes)]
        return Reference(cases, [runner.run(case) for case in cases])


def feeds(inputs: Sequence[TensorSpec], shapes: Shapes, seed: int) -> Feeds:
    """Draw an input."""
    rng = np.random.default_rng(seed)
    return {s.name: rng.standard_normal(shapes[s.name]).astype(s.dtype) for s in inputs}


def judged(error: float, precision: str) -> Mapping[str, str]:
    """Give the columns of an error: it may not be beyond what the precision costs at the most."""
    allowed = TOLERANCES[precision].cap
    right = "yes" if error <= allowed else "no"
    return {"error": f"{error:.2e}", "allowed": f"{allowed:.0e}", "right": right}
