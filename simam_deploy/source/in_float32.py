"""A network that its maker left in half or double precision, computed in float32."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from simam_deploy.errors import InputError
from simam_deploy.runtime.results import flatten

_OTHERS = (torch.float16, torch.bfloat16, torch.float64)
_CASTS = (torch.Tensor.half, torch.Tensor.bfloat16, torch.Tensor.double)


class InFloat32(TorchFunctionMode):
    """Takes every half and double type that code names for float32.

    That the weights are float32 does not do: a forward that casts its input to half, or makes a
    constant in double, would bring two types together.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch."""
        function = torch.Tensor.float if func in _CASTS else func
        named = {name: _float32(each) for name, each in (kwargs or {}).items()}
        result = function(*map(_float32, args), **named)
        if isinstance(func, torch._ops.OpOverload):  # the tracer's own, which lifts constants
            return result
        odd = isinstance(result, torch.Tensor) and result.dtype in _OTHERS
        return result.float() if odd else result


def _float32(value: Any) -> Any:
    return torch.float32 if isinstance(value, torch.dtype) and value in _OTHERS else value


def made_in(network: nn.Module) -> torch.dtype | None:
    """Give the first float type of a weight or buffer that is not float32; None without any."""
    kept = (*network.parameters(), *network.buffers())
    return next((each.dtype for each in kept if each.dtype in _OTHERS), None)


def refuse_halves(result: Any) -> None:
    """See to it that a network made in float32 ends in it.

    Raises:
        InputError: A tensor of its result is half, as autocast leaves it.
    """
    found = {tensor.dtype for tensor in flatten(result)} & {torch.float16, torch.bfloat16}
    if found:
        raise InputError(
            f"the network is float32 and its result {_name(found.pop())}: make it without autocast "
            "and casts to half, and have the file converted"
        )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def as_made(
    network: nn.Module, inputs: Sequence[torch.Tensor], made: torch.dtype
) -> tuple[torch.Tensor, ...] | None:
    """Run a network in the type that it was made in; None where it does not run here so.

    Args:
        network: Called by position, gives a tuple of tensors.
        inputs: Floats of them are cast to `made`; where it does not take that, as one of which a
            part is in half, they are float32.
        made: As `made_in` says.
    """
    for dtype in (made, torch.float32):
        cast = (each.to(dtype) if each.is_floating_point() else each for each in inputs)
        # Whatever the user's own code raises, and where a CPU lacks kernels in half.
        with contextlib.suppress(Exception), torch.inference_mode():
            outputs: tuple[torch.Tensor, ...] = network(*cast)
            return outputs
    return None


def describe(
    made: torch.dtype,
    before: Sequence[torch.Tensor] | None,
    after: Sequence[torch.Tensor],
) -> str:
    """Say that a network was converted, and what it comes to by its own outputs as made."""
    said = f"{_name(made)} as made, converted to float32"
    if before is None:
        return said
    off = max(map(_apart, before, after))
    return f"{said}: outputs are within {off:.1e} of the network as made, by their largest value"


def _apart(made: torch.Tensor, converted: torch.Tensor) -> float:
    """Give the largest difference, relative to the largest value."""
    exact, other = made.double(), converted.double()
    largest = exact.abs().max().item() if exact.numel() else 0.0
    return (exact - other).abs().max().item() / largest if largest else 0.0
