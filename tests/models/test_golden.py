"""The networks compute what their authors' own code computed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from simam_deploy.models.build import build
from simam_deploy.models.identify import Identity, identify
from tests.golden import CASES, Golden, Run, golden

CHEAP = [c for c in CASES if c.startswith("cifar_") and "wide" not in c] + ["resnet18", "resnet50d"]


def _identity(state_dict: dict[str, Tensor]) -> Identity:
    return identify({key: tuple(tensor.shape) for key, tensor in state_dict.items()})


def _outputs(model: nn.Module, x: Tensor) -> list[np.ndarray]:
    with torch.no_grad():
        got = model(x)
    return [tensor.numpy() for tensor in (got if isinstance(got, tuple) else (got,))]


def _error(case: Golden, run: Run, e_lambda: float, dtype: torch.dtype) -> float:
    weights = {
        key: t.to(dtype) if t.is_floating_point() else t for key, t in case.state_dict.items()
    }
    model = build(_identity(weights), weights, e_lambda)
    return run.error(_outputs(model, torch.from_numpy(run.input).to(dtype)))


def test_there_are_sixteen_cases() -> None:
    assert len(CASES) == 16


@pytest.mark.parametrize("name", CASES)
def test_float32_agrees(name: str) -> None:
    case = golden(name)
    identity = _identity(case.state_dict)
    assert identity.network.name == name
    assert identity.network.family.e_lambda == case.e_lambda
    model = build(identity, case.state_dict, case.e_lambda)
    for run in case.runs:
        # Measured: at most 3.1e-5 (resnet152); 5e-7 on the shallow networks.
        assert run.error(_outputs(model, torch.from_numpy(run.input))) <= 1e-4


@pytest.mark.parametrize("name", CHEAP)
def test_float64_agrees_to_the_recorded_digits(name: str) -> None:
    case = golden(name)
    for run in case.runs:
        assert _error(case, run, case.e_lambda, torch.float64) <= 5.1e-9  # half of the ninth digit


def test_a_wrong_lambda_shows() -> None:
    case = golden("cifar_resnet20")
    assert _error(case, case.runs[0], 1.1e-4, torch.float64) > 1e-6


def test_a_nan_is_no_agreement() -> None:
    run = golden("cifar_resnet20").runs[0]
    assert not run.error([np.full(run.outputs[0].shape, np.nan)]) <= 1e-4
