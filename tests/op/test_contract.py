import numpy as np
import pytest
import torch

from simam_deploy.models.attention.simam import simam
from simam_deploy.op import contract

X = np.random.default_rng(0).standard_normal((2, 3, 5, 7))
SCALE, BIAS = np.array([0.5, -2.0, 1.0]), np.array([0.1, -0.2, 0.3])


def test_the_reference_is_the_module():
    by_torch = simam(torch.from_numpy(X), 0.1).numpy()
    np.testing.assert_allclose(contract.simam_reference(X, 0.1), by_torch, rtol=1e-14)


def test_the_gate_lies_where_the_contract_says():
    gate = contract.simam_gate(X, 0.1)
    assert gate.min() >= contract.GATE_FLOOR
    assert gate.max() < 1
    collapsed = contract.simam_gate(np.full((1, 1, 2, 2), 3.0), 0.1)
    np.testing.assert_allclose(collapsed, contract.GATE_FLOOR, rtol=1e-15)


@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (2, 3, 5), (3, 5, 7, 2, 2)])
def test_what_is_no_feature_map_is_refused(shape):
    with pytest.raises(ValueError, match="SimAM wants"):
        contract.simam_gate(np.zeros(shape), 0.1)


def test_the_epilogue_pixel_by_pixel():
    y, skip = contract.simam_reference(X, 0.1), 3 * X
    z = contract.epilogue_reference(X, SCALE, BIAS, skip, e_lambda=0.1, clip_min=0.0, clip_max=6.0)
    for n, c, i, j in np.ndindex(*X.shape):
        plain = y[n, c, i, j] * SCALE[c] + BIAS[c] + skip[n, c, i, j]
        assert z[n, c, i, j] == min(max(plain, 0.0), 6.0)


def test_an_epilogue_of_nothing_is_simam():
    z = contract.epilogue_reference(X, np.ones(3), np.zeros(3), e_lambda=0.1)
    np.testing.assert_array_equal(z, contract.simam_reference(X, 0.1))


def test_the_contract_hangs_together():
    assert set(contract.INPUTS) == set(contract.ATTRIBUTES)
    assert all(names[0] == "x" for names in contract.INPUTS.values())
    assert all(low < high for low, high in contract.ACTIVATIONS.values())
    largest = float(np.finfo(np.float32).max)
    assert all(abs(b) <= largest for bounds in contract.ACTIVATIONS.values() for b in bounds)
