"""A network of the user's own: made by a factory in Python, or pickled whole."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from simam_deploy.core.specs import shape_text
from simam_deploy.errors import InputError, NetworkError, UsageError
from simam_deploy.models.fit import COUNTER
from simam_deploy.runtime.torch_runner import TorchRunner, flatten
from simam_deploy.source.checkpoint import Checkpoint, load_checkpoint
from simam_deploy.source.checkpoint.keys import Spelling, shared_prefix, spellings, under_prefix
from simam_deploy.source.input_plan import InputPlan, fit_outputs, plan_free_input
from simam_deploy.source.options import NetworkOptions
from simam_deploy.source.stated.choice import input_shape
from simam_deploy.source.stated.reading import read_stated
from simam_deploy.source.stated.record import Stated
from simam_deploy.source.subject import Opset, Subject, Traced, file_facts, say_stated, take_sites
from simam_deploy.source.trace import DEFAULT_OPSET, trace
from simam_deploy.source.zoo import origin


def load_factory(source: Path, options: NetworkOptions, opset: Opset) -> Subject:
    """Build `options.model`, "file.py:factory" or "package.module:factory", with a checkpoint.

    The factory is called without arguments and returns an nn.Module.

    Raises:
        InputError: The factory cannot be found or fails, or its network cannot be traced.
        NetworkError: The checkpoint's keys are not the network's.
        UsageError: No input shape is given.
    """
    assert options.model is not None
    checkpoint = load_checkpoint(source, trust_pickle=options.trust_pickle)
    model = _call(options.model)
    checkpoint = _fill(model, checkpoint, options.model)
    arch = f"model:{options.model}"
    subject = _stated_subject(model, options, opset, arch, origin(checkpoint), checkpoint.stated)
    return replace(subject, notes=(*checkpoint.notes, *subject.notes))


def load_pickled(source: Path, options: NetworkOptions, opset: Opset) -> Subject | None:
    """Take the nn.Module that a trusted pickle holds, itself or under `model` or `ema`.

    Returns:
        The subject, or None where there is no module in the file.

    Raises:
        InputError: The network cannot be traced.
        UsageError: No input shape is given.
    """
    tree = torch.load(source, map_location="cpu", weights_only=False)
    held = [tree, *(tree.get(k) for k in ("ema", "model"))] if isinstance(tree, Mapping) else [tree]
    module = next((value for value in held if isinstance(value, nn.Module)), None)
    if module is None:
        return None
    name = f"module:{type(module).__name__}"
    stated = read_stated(tree, {}, source)
    return _stated_subject(module, options, opset, name, file_facts(source), stated)


def _call(reference: str) -> nn.Module:
    """Import and call a factory."""
    place, _, name = reference.rpartition(":")
    if not place or not name:
        raise UsageError(
            f"a network is named file.py:factory or package.module:factory, got {reference}",
            options=("model",),
        )
    try:
        factory = getattr(_import(place), name)
        model = factory()
    except Exception as error:  # the user's own code may raise anything
        raise InputError(f"{reference} failed: {type(error).__name__}: {error}") from error
    if not isinstance(model, nn.Module):
        raise InputError(f"{reference} returned a {type(model).__name__}, no nn.Module")
    return model


def _import(place: str) -> Any:
    """Import a file, whose folder its own imports are found in, or an installed module."""
    if not place.endswith(".py"):
        return importlib.import_module(place)
    path = Path(place).resolve()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.exists():
        raise FileNotFoundError(f"no such file: {place}")
    sys.path.insert(0, str(path.parent))
    try:
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def _fill(model: nn.Module, checkpoint: Checkpoint, reference: str) -> Checkpoint:
    """Load the weights strictly, by the first reading of the keys that fits.

    Returns:
        The checkpoint in that reading.

    Raises:
        NetworkError: In none do keys and shapes fit; names the first differences of the nearest.
    """
    wanted = model.state_dict().keys()
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
        model.load_state_dict(read.weights, strict=False, assign=True)
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
    shape, found = input_shape(options.input_shape, stated)
    subject = _subject(model, replace(options, input_shape=shape), opset, arch, source)
    return say_stated(subject, stated, found)


def _subject(
    model: nn.Module,
    options: NetworkOptions,
    opset: Opset,
    arch: str,
    source: dict[str, Any],
) -> Subject:
    """Prepare a module whose SimAM sites are found in its graph."""
    model = model.eval().float().requires_grad_(False)
    plan = plan_free_input(options.dynamic, options.input_shape, options.input_names)
    defaults = _output_names(model, plan)
    names = fit_outputs(options.output_names, defaults)
    runner = partial(TorchRunner, model, (plan.spec,), names)
    version = opset.choose(DEFAULT_OPSET)

    def graph() -> Traced:
        traced = trace(model, (plan.spec,), names, plan.trace_sizes, version)
        return take_sites(traced, arch, options.allow_none)

    return Subject(
        facts={"arch": arch, "source": source},
        e_lambda=None,
        notes=(),
        shapes=tuple((shape,) for shape in plan.validation_shapes(None)),
        precision="fp32",
        opset=version,
        reference=runner,
        graph=graph,
    )


def _output_names(model: nn.Module, plan: InputPlan) -> tuple[str, ...]:
    """Run the model once to see how many tensors it returns.

    Raises:
        InputError: It fails on an input of the shape given.
    """
    try:
        with torch.inference_mode():
            outputs = flatten(model(torch.zeros(plan.shape)))
    except Exception as error:  # the user's own code may raise anything
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"the model fails on an input of {shape_text(plan.shape)}: {first}"
        ) from error
    return ("output",) if len(outputs) == 1 else tuple(f"output{i}" for i in range(len(outputs)))
