"""Recorded float64 outputs of networks with other attention than SimAM, by their authors' own code.

`<network>-<attention>.json` says whose (`code`): the SimAM authors' SE, CBAM and plain networks,
with reductions of 16 and, in their scripts' default, 4; ECA-Net's own, SRM's own, and CBAM's own,
of which the last pooling takes the whole map here, as it does at its 224x224. Tensors follow the
recipe of `tests.golden`, but no statistics are stored: a `running_mean` is 0.1 g, as a `bias` is,
and a `running_var` 1 + 0.1 g, as a 1-D `weight` is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tests.golden import Run, _noise, _run, _tensor

_FOLDER = Path(__file__).parent
CASES = tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


@dataclass(frozen=True)
class Compared:
    """One case: a checkpoint, what it is, and what it computes."""

    arch: str
    attention: str
    state_dict: dict[str, torch.Tensor]
    run: Run


def compared(case: str) -> Compared:
    """Load one of `CASES`; the state_dict is filled anew, in float32, keys as in the file."""
    facts = json.loads((_FOLDER / f"{case}.json").read_text())
    weights = {
        key: torch.from_numpy(_filled(key, tuple(shape)))
        for key, shape in facts["state_dict"].items()
    }
    return Compared(facts["arch"], facts["attention"], weights, _run(facts, facts))


def _filled(key: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if key.endswith("running_mean"):
        return (0.1 * _noise(key, shape)).astype(np.float32)
    return _tensor(key, shape, {})
