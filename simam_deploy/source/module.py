"""A network of the user's own: made by a factory in Python, or pickled whole."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from simam_deploy.errors import InputError, NetworkError, UsageError
from simam_deploy.models.fit import COUNTER
from simam_deploy.runtime.results import flatten, left_out
from simam_deploy.runtime.torch_runner import TorchRunner
from simam_deploy.source import ultralytics
from simam_deploy.source.checkpoint import Checkpoint, load_checkpoint
from simam_deploy.source.checkpoint.cleaning import SWA_COUNTER
from simam_deploy.source.checkpoint.keys import Spelling, shared_prefix, spellings, under_prefix
from simam_deploy.source.factory import call_factory
from simam_deploy.source.forward import Forward, drawn_inputs, keywords_of, try_out
from simam_deploy.source.free_inputs import FreeInputs, plan_free_inputs, with_size
from simam_deploy.source.in_float32 import as_made, describe, made_in, refuse_halves
from simam_deploy.source.input_plan import choose_outputs
from simam_deploy.source.lambdas import refuse_lambda
from simam_deploy.source.options import NetworkOptions
from simam_deploy.source.stated.choice import take
from simam_deploy.source.stated.record import Stated
from simam_deploy.source.subject import (
    Opset,
    Subject,
    Traced,
    origin,
    say_stated,
    take_sites,
)
from simam_deploy.source.trace import DEFAULT_OPSET, trace
from simam_deploy.source.unwrap import for_export


def load_factory(source: Path, options: NetworkOptions, opset: Opset) -> Subject:
    """Build `options.model`, "file.py:factory" or "package.module:factory", with a checkpoint.

    The factory is called without arguments and returns an nn.Module.

    Raises:
        InputError: The factory cannot be found or fails, or its network cannot be traced.
        NetworkError: The checkpoint's keys are not the network's.
        UsageError: No input shape is given, or a name of the zoo is.
    """
    assert options.model is not None
    named = [field for field in ("arch", "attention") if getattr(options, field) is not None]
    if named:
        raise UsageError(
            f"{options.model} makes a network of your own, which is none by name: leave one out",
            options=(*named, "model"),
        )
    checkpoint = load_checkpoint(source, trust_pickle=options.trust_pickle)
    model = call_factory(options.model)
    checkpoint = _fill(model, checkpoint, options.model)
    arch = f"model:{options.model}"
    subject = _stated_subject(model, options, opset, arch, origin(checkpoint), checkpoint.stated)
    return replace(subject, notes=(*checkpoint.notes, *subject.notes))


def load_pickled(checkpoint: Checkpoint, options: NetworkOptions, opset: Opset) -> Subject | None:
    """Take the nn.Module that a trusted pickle holds, itself or under `model` or `ema`.

    The file is read once more, by its own code, where that did not run yet.

    Returns:
        The subject, or None where there is no module in the file.

    Raises:
        InputError: The network cannot be traced.
        UsageError: No input shape is given.
    """
    tree = checkpoint.unpickled
    if tree is None:
        tree = _unpickled(checkpoint.path)
    held = [tree, *(tree.get(k) for k in ("ema", "model"))] if isinstance(tree, Mapping) else [tree]
    module = next((value for value in held if isinstance(value, nn.Module)), None)
    if module is None:
        return None
    facts = origin(checkpoint)
    del facts["entry"]  # of the weights, which are not taken from there
    return _stated_subject(module, options, opset, "", facts, checkpoint.stated)


def _unpickled(source: Path) -> Any:
    """Load a trusted pickle.

    Raises:
        InputError: Its code is not here, or raises, as that of DistributedDataParallel does
            without its group.
    """
    try:
        return torch.load(source, map_location="cpu", weights_only=False)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{source.name} wants the module {error.name}, which is not installed: install it, or "
            "put the folder that it lies in on PYTHONPATH"
        ) from error
    except Exception as error:  # whatever the code in it raises
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{source.name} cannot be unpickled: {first}") from error


def _fill(model: nn.Module, checkpoint: Checkpoint, reference: str) -> Checkpoint:
    """Load the weights strictly, by the first reading of the keys that fits.

    Returns:
        The checkpoint in that reading.

    Raises:
        NetworkError: In none do keys and shapes fit; names the first differences of the nearest.
    """
    # How often weights were averaged: cleaning leaves it out of files too, and no forward asks.
    wanted = [key for key in model.state_dict() if key != SWA_COUNTER]
    readings = [*spellings(checkpoint.found.values)]
    if prefix := shared_prefix(wanted):
        readings += [under_prefix(reading, prefix) for reading in readings]
    nearest = min(readings, key=lambda reading: len(_differences(reading, wanted)))
    if found := _differences(nearest, wanted):
        raise NetworkError(
            f"weights do not fit {reference}: {', '.join(found[:3])} ({len(found)} in all)"
        )
    read = checkpoint.spelt(nearest)
    try:
        # A half network takes the weights as its own, which copying rounds them to.
        model.load_state_dict(read.weights, strict=False, assign=made_in(model) is None)
    except RuntimeError as error:
        lines = str(error).splitlines()
        raise NetworkError(f"weights do not fit {reference}: {lines[-1].strip()}") from None
    return read


def _differences(reading: Spelling, wanted: Collection[str]) -> list[str]:
    """Say how keys differ from a network's; only batch norms' counters may be missing."""
    names = set(reading.names.values())
    missing = [key for key in wanted if key not in names and not key.endswith(COUNTER)]
    unexpected = [name for name in reading.names.values() if name not in wanted]
    return [
        *(f"{key} is missing" for key in missing),
        *(f"{key} is too many" for key in unexpected),
    ]


def _stated_subject(
    model: nn.Module,
    options: NetworkOptions,
    opset: Opset,
    arch: str,
    source: dict[str, Any],
    stated: Stated,
) -> Subject:
    """Prepare a module whose file says something of it: its input's size, where no option does."""
    refuse_lambda(options.e_lambda)
    options, found = with_size(options, stated)
    subject = _subject(model, options, opset, arch, source)
    subject = replace(subject, notes=(*subject.notes, *found))
    return say_stated(subject, stated, take(stated, subject.shapes[0][0]))


def _subject(
    model: nn.Module,
    options: NetworkOptions,
    opset: Opset,
    arch: str,
    source: dict[str, Any],
) -> Subject:
    """Prepare a module whose SimAM sites are found in its graph; its class may name it."""
    network, notes = for_export(model)
    arch = arch or f"module:{type(network).__name__}"
    options, told = ultralytics.ready_to_export(network, options)
    plan = plan_free_inputs(options)
    forward, result, converted = _called(network, plan)
    given = options.output_names or ultralytics.output_names(network, result)
    names = choose_outputs(given, result, [spec.name for spec in plan.specs])
    version = opset.choose(DEFAULT_OPSET)

    def graph() -> Traced:
        traced = trace(forward, plan.specs, names, plan.trace_sizes, version)
        traced.metadata_props.update(ultralytics.metadata(network, plan.shapes[0], options))
        return take_sites(traced, arch, options.allow_none)

    return Subject(
        facts={"arch": arch, "source": source},
        e_lambda=None,
        notes=(*notes, *told, *converted, *plan.notes, *left_out(result)),
        shapes=plan.validation_shapes,
        precision="fp32",
        opset=version,
        reference=partial(TorchRunner, forward, plan.specs, names),
        graph=graph,
    )


def _called(network: nn.Module, plan: FreeInputs) -> tuple[Forward, Any, tuple[str, ...]]:
    """Make a network that is called in one way, in float32.

    Returns:
        It, what it returns on drawn inputs, and what was converted.

    Raises:
        InputError: It fails on inputs of the shapes given.
        UsageError: The inputs do not fit its forward.
    """
    keywords = keywords_of(network, [spec.name for spec in plan.specs])
    inputs, made = drawn_inputs(plan.given), made_in(network)
    if made is None:
        forward = Forward(network, keywords)
        result = try_out(forward.result, inputs)
        refuse_halves(result)
        return forward, result, ()
    before = as_made(Forward(network, keywords), inputs, made)
    forward = Forward(network.float(), keywords, float32=True)
    result = try_out(forward.result, inputs)
    return forward, result, (describe(made, before, flatten(result)),)
