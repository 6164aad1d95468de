"""A checkpoint of a published network."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from simam_deploy.errors import NetworkError, UsageError
from simam_deploy.runtime.torch_runner import TorchRunner
from simam_deploy.source.direct import Unknown, graph_of_modules
from simam_deploy.source.forward import Forward
from simam_deploy.source.input_plan import InputPlan, fit_outputs, plan_input, smallest_workable
from simam_deploy.source.lambdas import contradicted_lambda, lambda_of, no_gates, without_simam
from simam_deploy.source.options import NetworkOptions
from simam_deploy.source.stated.choice import input_shape, take
from simam_deploy.source.subject import Opset, Subject, Traced, origin
from simam_deploy.source.trace import DEFAULT_OPSET, trace

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import nn

    from simam_deploy.models.identify import Identity
    from simam_deploy.source.checkpoint import Checkpoint


def load_zoo(checkpoint: Checkpoint, options: NetworkOptions, opset: Opset) -> Subject:
    """Identify a network by its weights, and build it.

    Raises:
        NetworkError: The weights fit no known network.
        UsageError: An option does not fit the network.
        InputError: The input would reach a SimAM, or an SRM, as a single pixel.
    """
    from simam_deploy.models.identify import identify
    from simam_deploy.source.detector import load_detector
    from simam_deploy.source.whole import find_detector

    shapes = {key: tuple(value.shape) for key, value in checkpoint.weights.items()}
    try:
        whole, left_out = find_detector(shapes, options.arch, options.attention)
        identity = whole.backbone if whole else identify(shapes, options.arch, options.attention)
    except NetworkError as error:
        raise _with_a_way_on(error, checkpoint) from None
    if whole is not None:
        return load_detector(checkpoint, whole, options, opset)
    return _load_one(checkpoint, identity, left_out, options, opset)


def _load_one(
    checkpoint: Checkpoint,
    identity: Identity,
    left_out: tuple[str, ...],
    options: NetworkOptions,
    opset: Opset,
) -> Subject:
    """Build a network of one input; errors as of `load_zoo`.

    Args:
        checkpoint: Its weights.
        identity: Which network.
        left_out: Notes on what of the file is not taken.
        options: What is said of it.
        opset: What is asked of its graph.
    """
    from simam_deploy.models.build import build

    known = identity.network
    family = known.family
    if options.inputs:
        raise UsageError(
            f"{family.title} takes one input, which is known: give its shape alone",
            options=("inputs", "input_shape"),
        )
    stated = checkpoint.stated
    file = checkpoint.path.name
    e_lambda = lambda_of(known, family, options.e_lambda, stated.lambdas, file)
    free = {0, *dict(family.dynamic_axes)}
    shape, found = input_shape(options.input_shape, stated, family.input_shape, free)
    plan = plan_input(family, options.dynamic, shape, options.input_names)
    if identity.num_outputs is None:  # a backbone's maps are no scores
        stated = replace(stated, classes=())
    taken = take(stated, plan.spec.shape, family.preprocessing)
    value = None if e_lambda is None else e_lambda.value
    network = build(identity, checkpoint.weights, value)
    smallest = smallest_workable(network, plan)
    model = Forward(network)
    names = fit_outputs(options.output_names, family.output_names, [plan.spec.name])
    runner = partial(TorchRunner, model, (plan.spec,), names)
    version = opset.choose(DEFAULT_OPSET)
    return Subject(
        facts={
            "arch": known.title,
            "attention": known.attention,
            "num_outputs": identity.num_outputs,
            "smallest_input": list(smallest),
            "source": origin(checkpoint),
            **taken.facts,
        },
        e_lambda=e_lambda,
        notes=(*_notes(checkpoint, identity), *left_out, *found, *taken.notes),
        contradictions=(
            *contradicted_lambda(options.e_lambda, stated.lambdas),
            *without_simam(known, stated.lambdas),
            *taken.contradictions,
        ),
        shapes=tuple((shape,) for shape in plan.validation_shapes(smallest)),
        precision="fp32",
        opset=version,
        reference=runner,
        graph=lambda: Traced(_graph(model, network, plan, names, version)),
    )


def _graph(
    model: Forward, network: nn.Module, plan: InputPlan, names: tuple[str, ...], opset: int
) -> ir.Model:
    """Write a network's graph by its modules, or have it traced where one is not known."""
    try:
        return graph_of_modules(network, plan.spec, names, opset)
    except Unknown:
        return trace(model, (plan.spec,), names, plan.trace_sizes, opset)


def _with_a_way_on(error: NetworkError, checkpoint: Checkpoint) -> NetworkError:
    """Name the file, and say how a network that is not of the zoo is exported."""
    named = f"{checkpoint.path.name}: {error}"
    if checkpoint.pickled:
        return NetworkError(
            f"{named}; the file holds a whole {checkpoint.pickled}: name the factory that makes "
            "it, or trust it, if you made it yourself, to run its code",
            options=(*error.options, "model", "trust_pickle"),
        )
    if error.options:
        return error.reworded(named)
    return NetworkError(
        f"{named}; for a network of your own, name the factory that makes it", options=("model",)
    )


def _notes(checkpoint: Checkpoint, identity: Identity) -> tuple[str, ...]:
    """List what was stripped, converted or left out on the way, and that there is no SimAM."""
    first = ", ".join(identity.dropped[:2])
    dropped = [f"{len(identity.dropped)} keys left out ({first}, ...)"] if identity.dropped else []
    return (*no_gates(identity.network), *checkpoint.notes, *dropped)
