"""The torch operators on the CPU: their own arithmetic, and the kernel's entry points on a host
library in place of the GPU's."""

import ctypes

import numpy as np
import pytest
import torch

from simam_deploy.errors import InputError
from simam_deploy.op.contract import ACTIVATIONS, epilogue_reference, simam_reference
from simam_deploy.op.torch import library as library_module
from simam_deploy.op.torch import simam, simam_epilogue
from simam_deploy.op.torch.launch import launch
from simam_deploy.op.torch.library import VARIABLE, KernelLibrary, find_library
from simam_deploy.op.torch.parameters import Params
from tests.plugins.host_kernel import build_host

SHAPE = (2, 11, 7, 9)
ULP = {torch.float32: 2e-6, torch.float16: 6e-4, torch.bfloat16: 4.2e-3, torch.float64: 1e-13}


def drawn(dtype: torch.dtype, last: bool = False, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    return x.to(memory_format=torch.channels_last) if last else x


def vectors() -> tuple[torch.Tensor, torch.Tensor]:
    channels = SHAPE[1]
    return torch.linspace(0.5, 2, channels), torch.linspace(-1, 1, channels)


def close(got: torch.Tensor, want: np.ndarray, rtol: float, atol: float = 1e-7) -> None:
    np.testing.assert_allclose(got.double().numpy(), want, rtol=rtol, atol=atol)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("dtype", ULP)
def test_simam_is_the_reference(dtype, last):
    x = drawn(dtype, last)
    y = simam(x, 1e-3)
    assert y.dtype == dtype
    assert y.stride() == x.stride()
    close(y, simam_reference(x.double().numpy(), 1e-3), ULP[dtype])


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_epilogue_is_the_reference(activation, residual):
    x = drawn(torch.float32, last=True)
    scale, bias = vectors()
    other = x.flip(0) * 4 if residual else None
    z = simam_epilogue(x, scale, bias, other, activation=activation)
    low, high = ACTIVATIONS[activation]
    want = epilogue_reference(
        x.numpy(),
        scale.numpy(),
        bias.numpy(),
        None if other is None else other.numpy(),
        e_lambda=1e-4,
        clip_min=low,
        clip_max=high,
    )
    close(z, want, 2e-6, 1e-6)
    assert z.is_contiguous(memory_format=torch.channels_last)


def test_opcheck():
    for x in (drawn(torch.float32), drawn(torch.float16, last=True)):
        torch.library.opcheck(torch.ops.simam.simam.default, (x, 1e-4))
        arguments = (x, *vectors(), x.clone(), 1e-4, 0.0, 6.0)
        torch.library.opcheck(torch.ops.simam.simam_epilogue.default, arguments)
    x = drawn(torch.float32).requires_grad_()
    torch.library.opcheck(torch.ops.simam.simam.default, (x, 1e-4))


def test_gradient():
    x = drawn(torch.float64, shape=(1, 2, 3, 4)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: simam(v, 1e-2), (x,))


def test_the_epilogue_has_no_gradient():
    x = drawn(torch.float32).requires_grad_()
    with pytest.raises(RuntimeError, match="no autograd formula"):
        simam_epilogue(x, *vectors()).sum().backward()


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 1, 1)])
def test_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r"H\*W >= 2"):
        simam(torch.zeros(shape))


@pytest.mark.parametrize("e_lambda", [-1.0, float("nan"), float("inf")])
def test_refuses_other_lambdas(e_lambda):
    with pytest.raises(ValueError, match="e_lambda"):
        simam(torch.zeros(SHAPE), e_lambda)


def test_refuses_other_epilogues():
    x, (scale, bias) = drawn(torch.float32), vectors()
    with pytest.raises(ValueError, match="scale must be float32"):
        simam_epilogue(x, scale.double(), bias)
    with pytest.raises(ValueError, match="bias must be"):
        simam_epilogue(x, scale, bias[1:])
    with pytest.raises(ValueError, match="residual must be"):
        simam_epilogue(x, scale, bias, x.half())
    with pytest.raises(ValueError, match="activation must be"):
        simam_epilogue(x, scale, bias, activation="gelu")


@pytest.fixture(scope="module")
def host(tmp_path_factory) -> KernelLibrary:
    """The kernel's bodies behind the same entry points, on the host's memory."""
    built = build_host(tmp_path_factory.mktemp("ops"), "float32", "-O1")
    return KernelLibrary(built.library._name)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("shape", [SHAPE, (1, 3, 300, 130), (2, 8, 31, 29)])
def test_the_launch_passes_what_the_kernel_wants(host, shape, last):
    x = drawn(torch.float32, last, shape)
    residual = x.flip(0).contiguous()  # In the other layout where x is channels-last.
    scale, bias = (torch.randn(shape[1]) for _ in range(2))
    y = torch.empty_like(x)
    launch(host, x, y, 1e-4, scale, bias, residual, (0.0, 6.0), 0)
    want = simam_epilogue(x, scale, bias, residual, activation="relu6")
    torch.testing.assert_close(y, want, rtol=2e-6, atol=2e-6)


def test_the_launch_takes_a_view_off_16_bytes(host):
    memory = torch.randn(1 + 2 * 3 * 8 * 8)
    x = memory[1:].reshape(2, 3, 8, 8)
    y = torch.empty_like(x)
    launch(host, x, y, 1e-4, None, None, None, ACTIVATIONS["none"], 0)
    torch.testing.assert_close(y, simam(x), rtol=2e-6, atol=1e-7)


def test_a_refused_launch_says_so(host):
    x = drawn(torch.float32)
    with pytest.raises(RuntimeError, match="invalid argument"):
        launch(host, x, torch.empty_like(x), -1.0, None, None, None, ACTIVATIONS["none"], 0)


def test_params_lie_as_in_c():
    """Five pointers, four int64, three floats, and the padding that their alignment makes."""
    assert ctypes.sizeof(Params) == 5 * 8 + 4 * 8 + 3 * 4 + 4


@pytest.fixture
def fresh(monkeypatch):
    """Forget what was found, before and after."""
    find_library.cache_clear()
    yield monkeypatch
    find_library.cache_clear()


def test_a_named_library_is_loaded(fresh, host):
    fresh.setenv(VARIABLE, host._library._name)
    assert isinstance(find_library(), KernelLibrary)


def test_without_a_library_there_is_none(fresh, tmp_path):
    fresh.delenv(VARIABLE, raising=False)
    fresh.setattr(library_module, "__file__", str(tmp_path / "library.py"))
    assert find_library() is None


@pytest.mark.parametrize("content", [None, b"not a library"])
def test_a_named_library_that_is_none_is_an_error(fresh, tmp_path, content):
    path = tmp_path / "kernel.so"
    if content is not None:
        path.write_bytes(content)
    fresh.setenv(VARIABLE, str(path))
    with pytest.raises(InputError, match=r"kernel\.so"):
        find_library()


def test_another_version_is_refused(fresh, host):
    fresh.setattr(library_module, "ABI_VERSION", 0)
    with pytest.raises(InputError, match="version 1 .* 0 is wanted"):
        KernelLibrary(host._library._name)
