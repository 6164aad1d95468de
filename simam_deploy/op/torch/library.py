"""Finds the compiled kernel and calls it."""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

from simam_deploy.errors import InputError
from simam_deploy.op.torch.parameters import ABI_VERSION, LAYOUTS, TYPES, Params

VARIABLE = "SIMAM_KERNEL_LIBRARY"
"""The environment variable that names the library's file."""
FILE_NAME = "libsimam_kernel.so"
"""Looked for beside this module where the variable is not set."""


class KernelLibrary:
    """The kernel's C entry points (plugins/simam/kernel/entry.cpp).

    Args:
        path: The shared library.

    Raises:
        InputError: It does not load, or speaks another version of the entry points.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._library = ctypes.CDLL(str(path))
            version = self._library.simam_abi_version()
        except (OSError, AttributeError) as cause:
            raise InputError(f"{path} is no SimAM kernel library: {cause}") from None
        if version != ABI_VERSION:
            raise InputError(
                f"{path} has version {version} of the kernel's entry points, {ABI_VERSION} is "
                "wanted: build it anew from this version's plugins/simam"
            )
        self._library.simam_workspace_size.restype = ctypes.c_size_t
        self._library.simam_error_text.restype = ctypes.c_char_p

    def workspace_size(self, params: Params, dtype: str, layout: str) -> int:
        """Bytes of device memory that `launch` wants for `params`."""
        size = self._library.simam_workspace_size(
            ctypes.byref(params), TYPES[dtype], LAYOUTS[layout]
        )
        return int(size)

    def launch(
        self, params: Params, dtype: str, layout: str, workspace: int | None, stream: int
    ) -> None:
        """Enqueue the kernel on `stream`, a cudaStream_t, on the current device.

        Raises:
            RuntimeError: CUDA refused; the message is its own.
        """
        status = self._library.simam_launch(
            ctypes.byref(params),
            TYPES[dtype],
            LAYOUTS[layout],
            ctypes.c_void_p(workspace),
            ctypes.c_void_p(stream),
        )
        if status != 0:
            text = self._library.simam_error_text(status).decode()
            raise RuntimeError(f"the SimAM kernel was not launched: {text} (cudaError {status})")


@functools.cache
def find_library() -> KernelLibrary | None:
    """Load the library that `VARIABLE` names or that lies beside this module; None if neither.

    Raises:
        InputError: What is named, or lies there, is no usable library.
    """
    named = os.environ.get(VARIABLE)
    path = Path(named) if named else Path(__file__).with_name(FILE_NAME)
    if named and not path.is_file():
        raise InputError(f"{VARIABLE} names {path}, which is no file")
    return KernelLibrary(path) if path.is_file() else None
