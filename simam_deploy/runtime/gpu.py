"""The NVIDIA GPUs of this machine, by the CUDA driver's own word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

INSTALL = "pip install cuda-bindings, which every TensorRT extra of simam-deploy brings"


@dataclass(frozen=True)
class Gpu:
    """A device: its name, compute capability as `sm89`, and memory in bytes."""

    name: str
    sm: str
    memory: int


@dataclass(frozen=True)
class Gpus:
    """What was found; where `devices` is empty, `reason` says why."""

    devices: tuple[Gpu, ...]
    cuda: str
    """The newest CUDA version that the driver serves, as 13.0; "" without a driver."""
    reason: str = ""


def find_gpus() -> Gpus:
    """Ask the driver for its devices, in CUDA's order; never raises."""
    try:
        from cuda.bindings import driver
    except ImportError:
        return Gpus((), "", f"cuda-bindings is missing: {INSTALL}")
    try:
        _checked(driver.cuInit(0))
        version = _checked(driver.cuDriverGetVersion())
        count = _checked(driver.cuDeviceGetCount())
        devices = tuple(_device(driver, index) for index in range(count))
    except _CudaError as error:
        return Gpus((), "", f"the NVIDIA driver answers {error}")
    except Exception:  # without libcuda, cuda-bindings raises errors of its own
        return Gpus((), "", "no NVIDIA driver is installed")
    reason = "" if devices else "the NVIDIA driver knows no device"
    return Gpus(devices, f"{version // 1000}.{version % 1000 // 10}", reason)


class _CudaError(Exception):
    """A call failed."""


def _device(driver: Any, index: int) -> Gpu:
    device = _checked(driver.cuDeviceGet(index))
    name = _checked(driver.cuDeviceGetName(128, device)).decode().rstrip("\0")
    kinds = driver.CUdevice_attribute
    major, minor = (
        _checked(driver.cuDeviceGetAttribute(kind, device))
        for kind in (
            kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        )
    )
    return Gpu(name, f"sm{major}{minor}", _checked(driver.cuDeviceTotalMem(device)))


def _checked(result: tuple[Any, ...]) -> Any:
    """Unpack (error, value).

    Raises:
        _CudaError: The error is not 0.
    """
    error, *values = result
    if int(error) != 0:
        raise _CudaError(f"{error.name} ({int(error)})")
    return values[0] if values else None
