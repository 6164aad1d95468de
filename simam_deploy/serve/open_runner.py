"""From a file to something that runs it: one branch a kind."""

from __future__ import annotations

from pathlib import Path

from simam_deploy.errors import InputError, UsageError
from simam_deploy.runtime import Runner

PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": (
        "TensorrtExecutionProvider",
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ),
}
RUNNABLE = (".onnx",)
"""Suffixes of what `open_runner` takes."""


def open_runner(path: Path, provider: str = "auto", threads: int = 1) -> Runner:
    """Load a file.

    Args:
        path: An .onnx file.
        provider: A key of `PROVIDERS`, or "auto": CUDA where ONNX Runtime has it, else the CPU.
        threads: Threads that one run computes with.

    Raises:
        InputError: The file cannot be used.
        UsageError: ONNX Runtime has not the provider.
    """
    if path.suffix == ".onnx":
        return _open_onnx(path, provider, threads)
    raise InputError(f"cannot serve {path}: served are {', '.join(RUNNABLE)} and checkpoints")


def _open_onnx(path: Path, provider: str, threads: int) -> Runner:
    from simam_deploy.runtime.onnx_runner import OnnxRunner, require_onnxruntime

    require_onnxruntime()
    import onnxruntime as ort

    available = ort.get_available_providers()
    if provider == "auto":
        provider = "cuda" if PROVIDERS["cuda"][0] in available else "cpu"
    first = PROVIDERS[provider][0]
    if first not in available:
        raise UsageError(
            f"this ONNX Runtime has no {first}; it has {', '.join(available)} "
            "(pip install 'simam-deploy[gpu]' where there is an NVIDIA GPU)"
        )
    return OnnxRunner(path, PROVIDERS[provider], threads=threads)
