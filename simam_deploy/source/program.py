"""A network saved with its code: a torch.export program (.pt2) or a TorchScript archive."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from simam_deploy.core.files import named_in_text
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import CheckpointError, UsageError
from simam_deploy.runtime.results import flatten, left_out
from simam_deploy.runtime.torch_runner import TorchRunner
from simam_deploy.source.forward import drawn_inputs, try_out
from simam_deploy.source.free_inputs import plan_free_inputs, with_size
from simam_deploy.source.input_plan import choose_outputs
from simam_deploy.source.lambdas import refuse_lambda
from simam_deploy.source.options import NetworkOptions
from simam_deploy.source.stated.choice import take
from simam_deploy.source.stated.of_archive import read_extras
from simam_deploy.source.stated.reading import read_stated
from simam_deploy.source.stated.record import Stated
from simam_deploy.source.subject import Opset, Subject, file_facts, say_stated, take_sites
from simam_deploy.source.trace import DEFAULT_OPSET, trace_program, trace_script

SCRIPT_HIGHEST = 20
"""torch's TorchScript exporter, which it keeps but no longer develops, ends there."""


def load_program(source: Path, options: NetworkOptions, opset: Opset) -> Subject:
    """Load a .pt2 file; its input shapes and free dimensions are its own.

    Raises:
        CheckpointError: It is not trusted or cannot be read.
        UsageError: An option asks for what a program has fixed.
    """
    _check(source, options)
    if options.dynamic or options.input_shape or options.inputs:
        raise UsageError(
            f"{source.name} fixes its own inputs, shapes and free dimensions: leave them out",
            options=("dynamic", "input_shape", "inputs"),
        )
    program = _open(source, torch.export.load)
    example, form = tree_flatten(program.example_inputs)
    taken = program.graph_signature.user_inputs
    inputs = tuple(_spec(node) for node in program.graph.nodes if node.name in taken)
    model = _ByPosition(program.module(), form)
    result = try_out(model, example)
    names = choose_outputs(options.output_names, result, [spec.name for spec in inputs])
    version = opset.choose(DEFAULT_OPSET)
    subject = _subject(
        source,
        partial(TorchRunner, model, inputs, names),
        (tuple(tuple(t.shape) for t in example),),
        version,
        lambda: take_sites(trace_program(program, names, version), source.name, options.allow_none),
        left_out(result),
    )
    return _told(subject, read_stated(None, read_extras(source)))


def load_script(source: Path, options: NetworkOptions, opset: Opset) -> Subject:
    """Load a TorchScript archive.

    Raises:
        CheckpointError: It is not trusted or cannot be read.
        UsageError: No input shape is given, or the opset is beyond TorchScript's exporter.
    """
    _check(source, options)
    version = opset.choose(DEFAULT_OPSET)
    if version > SCRIPT_HIGHEST:
        raise UsageError(
            f"a TorchScript archive exports up to opset {SCRIPT_HIGHEST}, not {version}",
            options=("opset",),
        )
    model = _open(source, partial(torch.jit.load, map_location="cpu")).eval()
    stated = read_stated(None, read_extras(source))
    options, found = with_size(options, stated)
    plan = plan_free_inputs(options)
    inputs = drawn_inputs(plan.given)
    result = try_out(model, inputs)
    if isinstance(result, Mapping):
        unpacked = _Unpacked(model).eval()
        model = torch.jit.trace(unpacked, inputs, check_trace=False)  # type: ignore[no-untyped-call]
    names = choose_outputs(options.output_names, result, [spec.name for spec in plan.specs])
    subject = _subject(
        source,
        partial(TorchRunner, model, plan.specs, names),
        plan.validation_shapes,
        version,
        lambda: take_sites(
            trace_script(model, plan.specs, names, plan.trace_sizes, version),
            source.name,
            options.allow_none,
        ),
        (*plan.notes, *left_out(result), *found),
    )
    return _told(subject, stated)


class _ByPosition(nn.Module):
    """A program whose inputs, however nested or named, are given one after the other."""

    def __init__(self, program: nn.Module, form: TreeSpec) -> None:
        super().__init__()
        self.program, self.form = program, form

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Compute the program's own result."""
        placed, named = tree_unflatten(list(inputs), self.form)
        return self.program(*placed, **named)


class _Unpacked(nn.Module):
    """A script whose dict is given as a tuple, which is all that its exporter takes."""

    def __init__(self, script: nn.Module) -> None:
        super().__init__()
        self.script = script

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Compute the tensors of the dict."""
        return tuple(flatten(self.script(*inputs)))


def _check(source: Path, options: NetworkOptions) -> None:
    """See to it that a program is trusted, and that nothing names another network.

    Raises:
        CheckpointError: It is not trusted.
        UsageError: An option names another network or its lambda.
    """
    refuse_lambda(options.e_lambda)
    names = "arch", "attention", "model"
    named = [field for field in names if getattr(options, field) is not None]
    if named:
        raise UsageError(
            f"{source.name} holds its network, code and all: leave out what names another",
            options=named,
        )
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
            with named_in_text(source) as named:
                return load(str(named))
    except Exception as error:  # a damaged archive makes torch raise all kinds
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{source.name} cannot be loaded: {first}") from error


def _spec(placeholder: torch.fx.Node) -> TensorSpec:
    """Describe a program's input; free dimensions bear their symbol's name."""
    value = placeholder.meta["val"]
    dims = tuple(d if isinstance(d, int) else str(d) for d in value.shape)
    return TensorSpec(placeholder.name, str(value.dtype).removeprefix("torch."), dims)


def _told(subject: Subject, stated: Stated) -> Subject:
    return say_stated(subject, stated, take(stated, subject.shapes[0][0]))


def _subject(
    source: Path, runner: Any, shapes: Any, opset: int, graph: Any, notes: tuple[str, ...]
) -> Subject:
    return Subject(
        facts={
            "arch": f"program:{source.name}",
            "source": file_facts(source),
        },
        e_lambda=None,
        notes=notes,
        shapes=shapes,
        precision="fp32",
        opset=opset,
        reference=runner,
        graph=graph,
    )
