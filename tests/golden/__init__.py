"""Recorded float64 outputs of the published SimAM networks, computed by their authors' own code.

`<case>.json` holds keys, shapes, lambda, inputs' shapes and outputs (9 digits); `<case>.npz` the
batch-norm statistics. Every other tensor follows a recipe, so no weights are stored: for a tensor
`key` of shape s, `g = numpy.random.default_rng(zlib.crc32(key.encode())).standard_normal(s)`;
`num_batches_tracked` is 0, `bias` 0.1 g, a 1-D `weight` 1 + 0.1 g, any other
g sqrt(2 / prod(s[1:])), cast to float32. The input is g for the key "input", cast to float32.
The backbone's tensors are filled by their keys without `backbone.`, and each of its four maps is
recorded at 257 places.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

_FOLDER = Path(__file__).parent
CASES = tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))
"""The names of all 16 cases."""


@dataclass(frozen=True)
class Output:
    """What an output must be: `values` at `index` of the flattened array; its largest value."""

    shape: tuple[int, ...]
    index: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    largest: float


@dataclass(frozen=True)
class Run:
    """An input and the outputs recorded for it."""

    input: npt.NDArray[np.float32]
    outputs: tuple[Output, ...]

    def error(self, got: Sequence[npt.ArrayLike]) -> float:
        """The worst difference of any output, relative to that output's largest value."""
        assert len(got) == len(self.outputs)
        arrays = [np.asarray(array) for array in got]
        assert [array.shape for array in arrays] == [output.shape for output in self.outputs]
        worst = [
            np.abs(array.ravel()[output.index] - output.values).max() / output.largest
            for array, output in zip(arrays, self.outputs, strict=True)
        ]
        return float(np.max(worst))


@dataclass(frozen=True)
class Golden:
    """One case: a checkpoint, the name of its network, its lambda, and what it computes."""

    name: str
    e_lambda: float
    state_dict: dict[str, torch.Tensor]
    runs: tuple[Run, ...]


def golden(case: str) -> Golden:
    """Load one of `CASES`; the state_dict is filled anew, in float32, keys as in the file."""
    facts = json.loads((_FOLDER / f"{case}.json").read_text())
    runs = tuple(_run(facts, run) for run in facts.get("cases", [facts]))
    return Golden(case, facts["e_lambda"], _state_dict(case, facts), runs)


def _state_dict(case: str, facts: dict[str, Any]) -> dict[str, torch.Tensor]:
    prefix = facts.get("prefix", "")
    statistics = np.load(_FOLDER / f"{case.removesuffix('_backbone')}.npz")
    return {
        key: torch.from_numpy(_tensor(key.removeprefix(prefix), tuple(shape), statistics))
        for key, shape in facts["state_dict"].items()
    }


def _tensor(key: str, shape: tuple[int, ...], statistics: Any) -> npt.NDArray[Any]:
    if key in statistics:
        return np.asarray(statistics[key], np.float32)
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    noise = _noise(key, shape)
    if key.endswith("bias"):
        noise = 0.1 * noise
    elif len(shape) == 1:
        noise = 1 + 0.1 * noise
    else:
        noise = noise * np.sqrt(2 / np.prod(shape[1:]))
    return noise.astype(np.float32)


def _noise(key: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    return np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape)


def _run(facts: dict[str, Any], run: dict[str, Any]) -> Run:
    x = _noise("input", tuple(run["input_shape"])).astype(np.float32)
    if "stages" in facts:
        return Run(x, tuple(_sampled(stage) for stage in facts["stages"]))
    values = np.array(run["output"])
    whole = np.arange(values.size)
    return Run(x, (Output(tuple(run["output_shape"]), whole, values, np.abs(values).max()),))


def _sampled(stage: dict[str, Any]) -> Output:
    index, values = np.array(stage["index"]), np.array(stage["value"])
    return Output(tuple(stage["shape"]), index, values, stage["max_abs"])
