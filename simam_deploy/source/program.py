"""A network saved with its code: a torch.export program (.pt2) or a TorchScript archive."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import CheckpointError, InputError, UsageError
from simam_deploy.runtime.torch_runner import TorchRunner, flatten
from simam_deploy.source.input_plan import fit_outputs, plan_free_input
from simam_deploy.source.options import NetworkOptions
from simam_deploy.source.subject import Opset, Subject, file_facts, take_sites
from simam_deploy.source.trace import DEFAULT_OPSET, trace_program, trace_script

SCRIPT_HIGHEST = 20
"""torch's TorchScript exporter, which it keeps but no longer develops, ends there."""


def load_program(source: Path, options: NetworkOptions, opset: Opset) -> Subject:
    """Load a .pt2 file; its input shapes and free dimensions are its own.

    Raises:
        CheckpointError: It is not trusted or cannot be read.
        UsageError: An option asks for what a program has fixed.
    """
    _require_trust(source, options)
    if options.dynamic or options.input_shape:
        raise UsageError(
            f"{source.name} fixes its own shapes and free dimensions: leave them out",
            options=("dynamic", "input_shape"),
        )
    program = _open(source, torch.export.load)
    example = tuple(program.example_inputs[0])
    taken = program.graph_signature.user_inputs
    inputs = tuple(_spec(node) for node in program.graph.nodes if node.name in taken)
    model = program.module()
    names = _names(model, example, options)
    version = opset.choose(DEFAULT_OPSET)
    return _subject(
        source,
        partial(TorchRunner, model, inputs, names),
        (tuple(tuple(t.shape) for t in example),),
        version,
        lambda: take_sites(trace_program(program, names, version), source.name, options.allow_none),
    )


def load_script(source: Path, options: NetworkOptions, opset: Opset) -> Subject:
    """Load a TorchScript archive.

    Raises:
        CheckpointError: It is not trusted or cannot be read.
        UsageError: No input shape is given, or the opset is beyond TorchScript's exporter.
    """
    _require_trust(source, options)
    version = opset.choose(DEFAULT_OPSET)
    if version > SCRIPT_HIGHEST:
        raise UsageError(
            f"a TorchScript archive exports up to opset {SCRIPT_HIGHEST}, not {version}",
            options=("opset",),
        )
    model = _open(source, partial(torch.jit.load, map_location="cpu")).eval()
    plan = plan_free_input(options.dynamic, options.input_shape, options.input_names)
    names = _names(model, (torch.zeros(plan.shape),), options)
    return _subject(
        source,
        partial(TorchRunner, model, (plan.spec,), names),
        tuple((shape,) for shape in plan.validation_shapes(None)),
        version,
        lambda: take_sites(
            trace_script(model, plan.spec, names, plan.trace_sizes, version),
            source.name,
            options.allow_none,
        ),
    )


def _require_trust(source: Path, options: NetworkOptions) -> None:
    if not options.trust_pickle:
        raise CheckpointError(
            f"{source.name} is a program, code and weights in one, and loading it may run that "
            "code: if you made it yourself, say that you trust it; otherwise ask for its "
            "state_dict",
            options=("trust_pickle",),
        )


def _open(source: Path, load: Any) -> Any:
    """Call torch's loader and turn whatever it raises into one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript's deprecation
            return load(str(source))
    except Exception as error:  # a damaged archive makes torch raise all kinds
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{source.name} cannot be loaded: {first}") from error


def _spec(placeholder: torch.fx.Node) -> TensorSpec:
    """Describe a program's input; free dimensions bear their symbol's name."""
    value = placeholder.meta["val"]
    dims = tuple(d if isinstance(d, int) else str(d) for d in value.shape)
    return TensorSpec(placeholder.name, str(value.dtype).removeprefix("torch."), dims)


def _names(
    model: Any, example: tuple[torch.Tensor, ...], options: NetworkOptions
) -> tuple[str, ...]:
    """Run the model once to see how many tensors it returns."""
    try:
        with torch.inference_mode():
            count = len(flatten(model(*example)))
    except RuntimeError as error:
        last = str(error).strip().splitlines()[-1]
        raise InputError(f"the model fails on the input shape given: {last}") from error
    default = ("output",) if count == 1 else tuple(f"output{i}" for i in range(count))
    return fit_outputs(options.output_names, default)


def _subject(source: Path, runner: Any, shapes: Any, opset: int, graph: Any) -> Subject:
    return Subject(
        facts={
            "arch": f"program:{source.name}",
            "source": file_facts(source),
        },
        e_lambda=None,
        notes=(),
        shapes=shapes,
        precision="fp32",
        opset=opset,
        reference=runner,
        graph=graph,
    )
