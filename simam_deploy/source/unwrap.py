"""A module as it was trained, made one to export: without wrappers, its head told."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import torch
from torch import nn

from simam_deploy.errors import InputError
from simam_deploy.source.checkpoint.keys import WRAPPERS


def for_export(module: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """Take off what parallel training and compiling put around layers, and set export flags.

    Returns:
        The network in eval mode, which nothing is learnt by, and what was done.

    Raises:
        InputError: It is compiled by TorchScript, as a whole or in part.
    """
    _refuse_scripts(module)
    notes = []
    while (inner := _held(module)) is not None:
        notes.append(f"{type(module).__name__} around the network taken off")
        module = inner
    notes += [*_unwrapped(module), *_told(module)]
    return module.eval().requires_grad_(False), tuple(notes)


def _refuse_scripts(module: nn.Module) -> None:
    for path, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            raise InputError(
                f"{path or 'the network'} is TorchScript, which is not traced anew: make the "
                "network without it, or save the whole by torch.jit.save and give that file"
            )


def _unwrapped(module: nn.Module, place: str = "") -> Iterator[str]:
    """Replace wrappers by what they hold, in all that stands below a module."""
    for name, child in module._modules.items():
        while (inner := _held(child)) is not None:
            yield f"{type(child).__name__} around {place}{name} taken off"
            module._modules[name] = child = inner
        if child is not None:
            yield from _unwrapped(child, f"{place}{name}.")


def _held(module: nn.Module | None) -> nn.Module | None:
    """Give what a wrapper of torch's own holds; None of any other module."""
    if module is None or not type(module).__module__.startswith("torch."):
        return None
    names = list(module._modules)
    return module._modules[names[0]] if len(names) == 1 and names[0] in WRAPPERS else None


def _told(network: nn.Module) -> Iterator[str]:
    """Set the flag by which a head gives what is deployed and not what is trained on."""
    for path, head in heads_of(network).items():
        if not head.export:
            vars(head)["export"] = True  # of this one, not of its class
            yield f"export set on {path or 'the network'} ({type(head).__name__})"


def heads_of(network: nn.Module) -> dict[str, nn.Module]:
    """List by path the modules that know of exports: a flag of their own or of their class says so.

    Looked up without running what a module's attributes may be made by.
    """
    return {
        path: part
        for path, part in network.named_modules()
        if isinstance(inspect.getattr_static(part, "export", None), bool)
    }
