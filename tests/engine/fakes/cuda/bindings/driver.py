"""A driver with one device, of the compute capability in $FAKE_SM; without it, none."""

import enum
import os


class CUresult(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_NO_DEVICE = 100


class CUdevice_attribute(enum.IntEnum):  # noqa: N801 - CUDA's own name
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76


def cuInit(Flags):  # noqa: N802, N803
    there = "FAKE_SM" in os.environ
    return (CUresult.CUDA_SUCCESS if there else CUresult.CUDA_ERROR_NO_DEVICE,)


def cuDriverGetVersion():  # noqa: N802
    return CUresult.CUDA_SUCCESS, 13000


def cuDeviceGetCount():  # noqa: N802
    return CUresult.CUDA_SUCCESS, 1


def cuDeviceGet(ordinal):  # noqa: N802
    return CUresult.CUDA_SUCCESS, ordinal


def cuDeviceGetName(length, dev):  # noqa: N802
    return CUresult.CUDA_SUCCESS, b"Fake GPU".ljust(length, b"\0")


def cuDeviceTotalMem(dev):  # noqa: N802
    return CUresult.CUDA_SUCCESS, 1 << 34


def cuDeviceGetAttribute(attrib, dev):  # noqa: N802
    major, minor = divmod(int(os.environ["FAKE_SM"]), 10)
    wanted = CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
    return CUresult.CUDA_SUCCESS, major if attrib == wanted else minor
