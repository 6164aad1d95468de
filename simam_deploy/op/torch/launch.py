"""Launches the kernel on torch's tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from simam_deploy.op.contract import ACTIVATIONS
from simam_deploy.op.torch.library import KernelLibrary, find_library
from simam_deploy.op.torch.parameters import TYPES, Tensors, params_of


def runs_on_kernel(x: Tensor) -> bool:
    """Tell whether the kernel takes `x`: on CUDA, of its types, and compiled."""
    return x.is_cuda and name_of(x.dtype) in TYPES and find_library() is not None


def name_of(dtype: torch.dtype) -> str:
    """Return a dtype's name without `torch.`."""
    return str(dtype).removeprefix("torch.")


def run_kernel(
    x: Tensor,
    y: Tensor,
    e_lambda: float,
    scale: Tensor | None = None,
    bias: Tensor | None = None,
    residual: Tensor | None = None,
    clip: tuple[float, float] = ACTIVATIONS["none"],
) -> None:
    """Write SimAM and its epilogue of `x` to `y`, on the current stream of x's device.

    Args:
        x: (N, C, H, W), float32, float16 or bfloat16.
        y: The result: of x's shape and dtype, dense, contiguous or channels-last.
        e_lambda: The regulariser lambda.
        scale: (C,), float32; None for 1.
        bias: (C,), float32; None for 0.
        residual: Of x's shape and dtype; None adds nothing.
        clip: Bounds of the result.

    Raises:
        RuntimeError: CUDA refused the launch.
    """
    library = find_library()
    if library is None:
        raise RuntimeError("the SimAM kernel is not compiled")
    with torch.cuda.device(x.device):
        stream = torch.cuda.current_stream().cuda_stream
        launch(library, x, y, e_lambda, scale, bias, residual, clip, stream)


def launch(
    library: KernelLibrary,
    x: Tensor,
    y: Tensor,
    e_lambda: float,
    scale: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    clip: tuple[float, float],
    stream: int,
) -> None:
    """Do what `run_kernel` does, by `library` and on `stream`."""
    layout = "nchw" if y.is_contiguous() else "nhwc"
    dense = torch.contiguous_format if layout == "nchw" else torch.channels_last
    x = _on_16_bytes(x.contiguous(memory_format=dense))
    residual = None if residual is None else _on_16_bytes(residual.contiguous(memory_format=dense))
    scale, bias = (None if v is None else v.contiguous() for v in (scale, bias))
    tensors = Tensors(*(None if t is None else t.data_ptr() for t in (x, y, residual, scale, bias)))
    n, c, h, w = x.shape
    params = params_of(tensors, (n, c, h * w), e_lambda, clip)
    dtype = name_of(x.dtype)
    size = library.workspace_size(params, dtype, layout)
    workspace = torch.empty(size, dtype=torch.uint8, device=x.device) if size else None
    address = None if workspace is None else workspace.data_ptr()
    library.launch(params, dtype, layout, address, stream)


def _on_16_bytes(tensor: Tensor) -> Tensor:
    """Return `tensor`, or a copy where a view begins between two 16-byte marks."""
    return tensor if tensor.data_ptr() % 16 == 0 else tensor.clone()
