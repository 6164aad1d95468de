"""Grad-CAM: where in a layer's maps a score of a network comes from.

Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017, equations (1) and (2). Of maps A (K, h, w) and a score y:

    alpha_k = mean over i, j of dy / dA[k, i, j]
    L[i, j] = ReLU(sum over k of alpha_k A[k, i, j])
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from simam_deploy.errors import InputError, UsageError

Choose = Callable[[tuple[Tensor, ...]], Tensor]
"""From a network's outputs to the score, a single number."""
_NEAR = 3
"""Names that are told where one is not known."""


def grad_cam(
    network: nn.Module, inputs: Sequence[Tensor], layers: Sequence[str], choose: Choose
) -> dict[str, Tensor]:
    """Compute the maps of several layers at once: one pass forwards, one backwards.

    What stands before the layers is not differentiated. Of a layer that is run several times the
    last time counts.

    Args:
        network: In eval mode; takes its inputs by position and gives a tuple of tensors.
        inputs: A batch of one.
        layers: Names of modules whose output is (1, K, h, w), of any floating dtype.
        choose: Chooses the score; what it raises passes through.

    Returns:
        By layer its map (h, w), not negative, in units of the score times the layer's: neither
        scaled nor cut off, so that those of two classes can be compared. A layer that the score
        does not depend on, its gradient 0 in all of it, has none.

    Raises:
        InputError: A layer gives no such maps, or the network cannot be differentiated.
        UsageError: There is no such layer.
    """
    modules = {name: find_layer(network, name) for name in layers}
    with torch.enable_grad(), _recording(modules, len(inputs[0])) as maps:
        try:
            score = choose(network(*inputs))
            gradients = _gradients(score, maps)
        except RuntimeError as error:  # an operator, or the user's own code, without a gradient
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(f"the network cannot be differentiated: {reason}") from error
    return {
        name: weighted(maps[name].detach()[0], gradient[0])
        for name, gradient in gradients.items()
        if gradient.any()
    }


def _gradients(score: Tensor, maps: dict[str, Tensor]) -> dict[str, Tensor]:
    """Differentiate a score by maps; those that it has no way to are left out."""
    if not (score.requires_grad and maps):
        return {}
    found = torch.autograd.grad(score, list(maps.values()), allow_unused=True)
    return {name: each for name, each in zip(maps, found, strict=True) if each is not None}


def weighted(maps: Tensor, gradient: Tensor) -> Tensor:
    """Weigh maps (K, h, w) by the means of a score's gradient; keep what is positive, (h, w)."""
    return (gradient.mean((1, 2), keepdim=True) * maps).sum(0).relu()


def find_layer(network: nn.Module, name: str) -> nn.Module:
    """Find a module by its name.

    Raises:
        UsageError: There is none; names those that are written like it.
    """
    modules: dict[str, nn.Module] = dict(network.named_modules())
    if name and name in modules:
        return modules[name]
    near = difflib.get_close_matches(name, filter(None, modules), _NEAR, 0)
    raise UsageError(
        f"there is no layer {name!r}: the nearest names are {', '.join(near)}", options=("layer",)
    )


@contextlib.contextmanager
def _recording(modules: dict[str, nn.Module], batch: int) -> Iterator[dict[str, Tensor]]:
    """Keep what modules give, as variables that a score can be differentiated by."""
    kept: dict[str, Tensor] = {}

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], object], Tensor]:
        def keep(module: nn.Module, args: tuple[Tensor, ...], output: object) -> Tensor:
            maps = _checked(output, name, batch)
            kept[name] = maps if maps.requires_grad else maps.detach().requires_grad_()
            return kept[name].clone()  # what comes behind may write into it, as ReLU in place does

        return keep

    handles = [module.register_forward_hook(hook(name)) for name, module in modules.items()]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def _checked(output: object, name: str, batch: int) -> Tensor:
    """See to it that a layer gives maps of the picture.

    Raises:
        InputError: It gives something else.
    """
    if not isinstance(output, Tensor):
        raise InputError(f"layer {name} gives a {type(output).__name__}, no map: name another")
    if output.ndim != 4 or len(output) != batch or not output.is_floating_point():
        raise InputError(
            f"layer {name} gives {tuple(output.shape)}, no maps ({batch}, K, h, w) of the picture: "
            "name another"
        )
    return output
