"""What each known module writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir
from torch import nn

from simam_deploy.graph.sites import dims
from simam_deploy.models.attention.simam import SimAM
from simam_deploy.op import contract
from simam_deploy.source.direct import functions
from simam_deploy.source.direct.extents import Unknown, Window
from simam_deploy.source.direct.sheet import Sheet

Writer = Callable[[Sheet, Any, ir.Value], ir.Value]


def simam(sheet: Sheet, module: SimAM, x: ir.Value) -> ir.Value:
    """Write the one node, which the graph passes lower."""
    attributes = {contract.LAMBDA_ATTRIBUTE: module.e_lambda}
    return sheet.op(
        contract.OP_TYPE, x, shape=dims(x), domain=contract.DOMAIN, **attributes
    )  # fmt: skip


def convolution(sheet: Sheet, module: nn.Conv1d | nn.Conv2d, x: ir.Value) -> ir.Value:
    """Write Conv: https://onnx.ai/onnx/operators/onnx__Conv.html."""
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise Unknown(f"padding {module.padding}, {module.padding_mode}")
    sides = module.kernel_size, module.stride, module.padding, module.dilation
    windows = [Window(*axis) for axis in zip(*sides, strict=True)]
    batch, _, *sizes = dims(x)
    return sheet.op(
        "Conv", x, sheet.weight(module.weight),
        *([sheet.weight(module.bias)] if module.bias is not None else []),
        shape=(batch, module.out_channels, *_over(windows, sizes)),
        kernel_shape=[w.kernel for w in windows], strides=[w.stride for w in windows],
        pads=[w.padding for w in windows] * 2, dilations=[w.dilation for w in windows],
        group=module.groups,
    )  # fmt: skip


def batch_norm(sheet: Sheet, module: nn.BatchNorm1d | nn.BatchNorm2d, x: ir.Value) -> ir.Value:
    """Write BatchNormalization as a network that is deployed has it."""
    tensors = module.weight, module.bias, module.running_mean, module.running_var
    if module.training or any(tensor is None for tensor in tensors):
        raise Unknown("a batch norm in training, or without its tensors")
    given = [sheet.weight(tensor) for tensor in tensors]
    return sheet.op("BatchNormalization", x, *given, shape=dims(x), epsilon=module.eps)


def max_pool(sheet: Sheet, module: nn.MaxPool2d, x: ir.Value) -> ir.Value:
    """Write MaxPool."""
    if module.return_indices:
        raise Unknown("indices of a pooling")
    windows = _windows(module, module.dilation)
    dilations = [w.dilation for w in windows]
    return _pool(sheet, "MaxPool", windows, x, dilations=dilations)


def average_pool(sheet: Sheet, module: nn.AvgPool2d, x: ir.Value) -> ir.Value:
    """Write AveragePool."""
    if module.divisor_override is not None:
        raise Unknown("a divisor of a pooling's own")
    counted = int(module.count_include_pad)
    return _pool(sheet, "AveragePool", _windows(module, 1), x, count_include_pad=counted)


def _windows(module: nn.MaxPool2d | nn.AvgPool2d, dilation: int | tuple[int, ...]) -> list[Window]:
    stride = module.kernel_size if module.stride is None else module.stride
    sides = map(_twice, (module.kernel_size, stride, module.padding, dilation))
    ceil = bool(module.ceil_mode)
    return [Window(k, s, p, d, ceil) for k, s, p, d in zip(*sides, strict=True)]


def _pool(
    sheet: Sheet, op_type: str, windows: list[Window], x: ir.Value, **attributes: Any
) -> ir.Value:
    batch, channels, *sizes = dims(x)
    return sheet.op(
        op_type, x, shape=(batch, channels, *_over(windows, sizes)),
        kernel_shape=[w.kernel for w in windows], strides=[w.stride for w in windows],
        pads=[w.padding for w in windows] * 2, ceil_mode=int(windows[0].ceil), **attributes,
    )  # fmt: skip


def _twice(number: int | tuple[int, ...]) -> tuple[int, ...]:
    return (number, number) if isinstance(number, int) else number


def _over(windows: list[Window], sizes: list[int | str]) -> list[int | str]:
    return [window.over(size) for window, size in zip(windows, sizes, strict=True)]


def linear(sheet: Sheet, module: nn.Linear, x: ir.Value) -> ir.Value:
    """Write Gemm, of a matrix."""
    batch, *features = dims(x)
    if len(features) != 1 or module.bias is None:
        raise Unknown("a linear layer without bias, or of more than a matrix")
    tensors = sheet.weight(module.weight), sheet.weight(module.bias)
    return sheet.op("Gemm", x, *tensors, shape=(batch, module.out_features), transB=1)


def softmax(sheet: Sheet, module: nn.Softmax, x: ir.Value) -> ir.Value:
    """Write Softmax."""
    if module.dim is None:
        raise Unknown("a softmax without its axis")
    return sheet.op("Softmax", x, shape=dims(x), axis=module.dim)


def nothing(sheet: Sheet, module: nn.Module, x: ir.Value) -> ir.Value:
    """Write nothing: it changes nothing in a network that is deployed."""
    if module.training:
        raise Unknown("a module in training")
    return x


WRITERS: dict[type[nn.Module], Writer] = {
    SimAM: simam,
    nn.AvgPool2d: average_pool,
    nn.BatchNorm1d: batch_norm,
    nn.BatchNorm2d: batch_norm,
    nn.Conv1d: convolution,
    nn.Conv2d: convolution,
    nn.Dropout: nothing,
    nn.Identity: nothing,
    nn.Linear: linear,
    nn.MaxPool2d: max_pool,
    nn.ReLU: lambda sheet, _, x: functions.relu(sheet, x),
    nn.ReLU6: lambda sheet, _, x: functions.clamp(sheet, x, 0.0, 6.0),
    nn.Softmax: softmax,
}
"""By the very class: what is derived from one may compute something else."""
