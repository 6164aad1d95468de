"""The sizes of the maps that reach SimAM and SRM, computed on the meta device.

Both divide by H*W - 1: a map of one pixel is none. No weights are touched.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from simam_deploy.errors import UsageError
from simam_deploy.models.attention.simam import SimAM
from simam_deploy.models.attention.srm import SRM

_LARGEST = 1 << 14
"""Where the search for a workable size gives up, in pixels or frames."""


def site_shapes(model: nn.Module, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Tell the shape of the map at every SimAM or SRM.

    Args:
        model: The network, in eval mode.
        input_shape: Shape of its input, batch included.

    Returns:
        Module name -> (N, C, H, W), in forward order.

    Raises:
        UsageError: The network cannot run on an input of that shape.
    """
    return _shapes(_outline(model), input_shape)


def smallest_input(
    model: nn.Module, input_shape: tuple[int, ...], axes: Sequence[int]
) -> tuple[int, ...]:
    """Find the smallest input that the network takes, with two pixels at least for every site.

    Args:
        model: The network, in eval mode.
        input_shape: An input shape, batch included.
        axes: Axes of it that may change; all of them get the same size.

    Returns:
        `input_shape` with the smallest workable size along `axes`.

    Raises:
        UsageError: No size up to 16384 works, so the trouble lies in another axis.
    """
    outline = _outline(model)
    return smallest_shape(lambda shape: _works(outline, shape), input_shape, axes)


def smallest_shape(
    works: Callable[[tuple[int, ...]], bool], input_shape: tuple[int, ...], axes: Sequence[int]
) -> tuple[int, ...]:
    """Find the smallest input that works, as `smallest_input` does of a network.

    Args:
        works: Tells whether an input of a shape does; a larger one than one that does, does.
        input_shape: An input shape, batch included.
        axes: Axes of it that may change; all of them get the same size.
    """

    def resized(size: int) -> tuple[int, ...]:
        return tuple(size if axis in axes else old for axis, old in enumerate(input_shape))

    high = 1
    while not works(resized(high)):  # few are above 33: half the runs that halving takes
        high *= 2
        if high > _LARGEST:
            raise UsageError(
                f"no size along axes {tuple(axes)} makes the input {input_shape} workable"
            )
    low = high // 2 + 1
    while low < high:
        middle = (low + high) // 2
        if works(resized(middle)):
            high = middle
        else:
            low = middle + 1
    return resized(low)


def _outline(model: nn.Module) -> nn.Module:
    """Copy a network onto the meta device, where a batch norm and a SimAM give what they are given.

    Either keeps a map's shape, and they are five sixths of what a run there takes.
    """
    tensors = [*model.parameters(), *model.buffers()]
    outline = copy.deepcopy(model, {id(tensor): tensor.detach().to("meta") for tensor in tensors})
    for module in outline.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | SimAM):
            module.forward = _same  # type: ignore[method-assign]
    return outline


def _same(x: Tensor) -> Tensor:
    return x


def _shapes(outline: nn.Module, input_shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Give what `site_shapes` does, of an outline."""
    seen: dict[str, tuple[int, ...]] = {}
    names: dict[nn.Module, str] = {
        module: name for name, module in outline.named_modules() if isinstance(module, SimAM | SRM)
    }

    def note(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        seen[names[module]] = tuple(args[0].shape)

    hooks = [module.register_forward_pre_hook(note) for module in names]
    try:
        outline(torch.empty(input_shape, device="meta"))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"the network cannot run on an input of {input_shape}: {reason}") from None
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _works(outline: nn.Module, input_shape: tuple[int, ...]) -> bool:
    try:
        shapes = _shapes(outline, input_shape)
    except UsageError:
        return False
    return all(map(suffices, shapes.values()))


def suffices(shape: tuple[int, ...]) -> bool:
    """Tell whether a map, (N, C, H, W), has the two pixels that SimAM and SRM divide by."""
    return shape[2] * shape[3] >= 2
