"""A checkpoint of a whole detector: from a picture to boxes and masks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from simam_deploy.core.specs import TensorSpec, shape_text
from simam_deploy.errors import InputError, UsageError
from simam_deploy.models.detectors.identity import DetectorIdentity
from simam_deploy.models.zoo import BACKBONE, titled
from simam_deploy.runtime.torch_runner import TorchRunner
from simam_deploy.source.forward import Forward
from simam_deploy.source.input_plan import (
    ODD_BATCH,
    InputPlan,
    fit_inputs,
    fit_outputs,
    plan_input,
    smallest_workable,
)
from simam_deploy.source.lambdas import contradicted_lambda, lambda_of, no_gates, without_simam
from simam_deploy.source.left_free import left_free
from simam_deploy.source.options import NetworkOptions
from simam_deploy.source.stated.choice import Taken, input_shape, take
from simam_deploy.source.stated.detector.check import check
from simam_deploy.source.stated.detector.reading import StatedDetector
from simam_deploy.source.subject import Opset, Subject, Traced, origin
from simam_deploy.source.trace import DEFAULT_OPSET, trace
from simam_deploy.source.whole import detector_name

if TYPE_CHECKING:
    from simam_deploy.models.detectors.detector import Detector
    from simam_deploy.source.checkpoint import Checkpoint

SIZE_INPUT = "image_size"
"""Height and width of each picture in the input, without the padding behind it."""
DETECTOR = replace(
    BACKBONE,
    name="detector",
    title="detectors of two stages, whole",
    input_name="image",
    output_names=("num_dets", "boxes", "scores", "labels", "masks"),
    dynamic="hw",
)
"""What the family of detectors has: the backbones' pictures, and outputs of its own."""
_STEP = 32
"""Sides are multiples of it: what the coarsest map of a backbone stands for."""


def load_detector(
    checkpoint: Checkpoint, identity: DetectorIdentity, options: NetworkOptions, opset: Opset
) -> Subject:
    """Build an identified detector by what its file says of it.

    The graph takes `image` (N, 3, H, W), normalised and padded, H and W multiples of the file's
    divisor, and `image_size` (N, 2): height and width before the padding; both float32.

    Raises:
        NetworkError: The weights do not fit.
        InputError: The file asks for what a detector here cannot do, contradicts its weights or
            itself; or the input would reach a SimAM as a single pixel.
        UsageError: An option does not fit.
    """
    from simam_deploy.models.detectors.build import build_detector

    if options.inputs:
        raise UsageError(
            f"{DETECTOR.title}, take inputs that are known: give the picture's shape alone",
            options=("inputs", "input_shape"),
        )
    said = _stated(checkpoint, identity)
    stated = checkpoint.stated
    known, file = identity.backbone.network, checkpoint.path.name
    e_lambda = lambda_of(known, DETECTOR, options.e_lambda, stated.lambdas, file)
    value = None if e_lambda is None else e_lambda.value
    network = build_detector(identity, said.settings, checkpoint.weights, value)
    specs, plan, found = _plan(checkpoint, options)
    taken = take(stated, plan.spec.shape, DETECTOR.preprocessing)
    smallest = _smallest(network, plan)
    model = Forward(network)
    outputs = DETECTOR.output_names[: 5 if identity.mask else 4]
    names = fit_outputs(options.output_names, outputs, [spec.name for spec in specs])
    facts, against = _facts(taken, identity, plan, specs[1].name)
    version = opset.choose(DEFAULT_OPSET)
    return Subject(
        facts={
            "arch": titled(detector_name(identity), known.attention),
            "attention": known.attention,
            "num_outputs": identity.classes,
            "smallest_input": list(smallest),
            "source": origin(checkpoint),
            "detector": _described(identity, said),
            **facts,
        },
        e_lambda=e_lambda,
        notes=(
            *no_gates(known),
            *checkpoint.notes,
            *_taken_whole(identity),
            *found,
            *taken.notes,
            *said.said(),
        ),
        contradictions=(
            *contradicted_lambda(options.e_lambda, stated.lambdas),
            *without_simam(known, stated.lambdas),
            *taken.contradictions,
            *against,
        ),
        shapes=tuple((each, (each[0], 2)) for each in _shapes(plan, smallest)),
        precision="fp32",
        opset=version,
        reference=partial(TorchRunner, model, specs, names),
        graph=lambda: Traced(trace(model, specs, names, plan.trace_sizes, version)),
    )


def _stated(checkpoint: Checkpoint, identity: DetectorIdentity) -> StatedDetector:
    """Take the one thing that a file says of its detector; of none, all is as published.

    Raises:
        InputError: It says two, or what cannot be.
    """
    said, file = checkpoint.stated.detectors, checkpoint.path.name
    if len(said) > 1:
        raise InputError(
            f"{file}: has two configurations of a detector, {said[0].where} and {said[1].where}, "
            "which differ: leave one in it"
        )
    try:
        if said and isinstance(said[0].value, str):
            raise InputError(said[0].value)
        found = said[0].value if said else StatedDetector()
        check(identity, found)
    except InputError as error:
        name = identity.backbone.network.name
        line = f"{file}: {error}; for its backbone alone, say {name}"
        raise InputError(line, options=("arch",)) from None
    return found


def _plan(
    checkpoint: Checkpoint, options: NetworkOptions
) -> tuple[tuple[TensorSpec, TensorSpec], InputPlan, tuple[str, ...]]:
    """Plan both inputs, of sides that the pyramid can halve.

    Raises:
        UsageError: The options do not fit.
    """
    names = fit_inputs(options.input_names, (DETECTOR.input_name, SIZE_INPUT))
    free = {0, *dict(DETECTOR.dynamic_axes)}
    shape, found = input_shape(options.input_shape, checkpoint.stated, DETECTOR.input_shape, free)
    step = _step(checkpoint)
    if shape is not None and not _is_said(options.input_shape):
        shape = (*shape[:2], *(math.ceil(side / step) * step for side in shape[2:]))
    plan = replace(plan_input(DETECTOR, options.dynamic, shape, names[:1]), step=step)
    if any(plan.shape[axis] % step for axis in plan.spatial):
        raise UsageError(
            f"an input of {shape_text(plan.shape)} does not fit this detector: height and width "
            f"must be multiples of {step}",
            options=("input_shape",),
        )
    batch = plan.spec.shape[0]
    return (plan.spec, TensorSpec(names[1], "float32", (batch, 2))), plan, found


def _is_said(shape: Sequence[int] | None) -> bool:
    """Tell whether a user says both sides."""
    return shape is not None and not left_free(shape[-2:])


def _step(checkpoint: Checkpoint) -> int:
    """Give what sides are multiples of: the file's divisor, where that is one of the pyramid's."""
    fit = checkpoint.stated.one("fits")
    said: int = fit.value.get("pad_divisor", _STEP) if fit else _STEP
    return said if said % _STEP == 0 else _STEP


def _shapes(plan: InputPlan, smallest: tuple[int, ...]) -> list[tuple[int, ...]]:
    """List the full shapes to validate: of free sides most kinds of pictures at a third of them.

    A Mask R-CNN takes 6 s for a picture of 800 x 1344 on one core, and each is run 20 times over.
    """
    if not set(plan.spatial) & set(plan.free):
        return plan.validation_shapes(smallest)
    step, full = plan.step, (1, *plan.shape[1:])
    third = (
        max(math.ceil(side / 3 / step) * step, least)
        for side, least in zip(plan.shape[2:], smallest[2:], strict=True)
    )
    return [(ODD_BATCH, *full[1:2], *third), full, smallest]


def _smallest(network: Detector, plan: InputPlan) -> tuple[int, ...]:
    """Give the smallest full shape of sides that are multiples of the plan's step."""
    step = plan.step
    least = smallest_workable(network.backbone, plan)
    return (*least[:2], *(math.ceil(side / step) * step for side in least[2:]))


def _facts(
    taken: Taken, identity: DetectorIdentity, plan: InputPlan, size_input: str
) -> tuple[dict[str, Any], list[str]]:
    """Give what is known of pictures and classes, and what of it contradicts the network."""
    facts, against = dict(taken.facts), []
    names = facts.get("classes")
    if names is not None and len(names) != identity.classes:
        del facts["classes"]
        against.append(
            f"the file's class names are left out: {len(names)} are named, and by the weights "
            f"there are {identity.classes}"
        )
    prepared = facts.pop("preprocessing", None)
    if prepared is not None and prepared.get("pad") == "centre":
        against.append(
            "the file lays pictures into the centre, and a detector here is told their size alone: "
            "how they are prepared is left out"
        )
    elif prepared is not None:
        against += _unlike(prepared, plan.step)
        divisor = {"pad_divisor": plan.step} if prepared.get("keep_ratio") else {}
        facts["preprocessing"] = {**prepared, **divisor, "size_input": size_input}
    return facts, against


def _unlike(prepared: Mapping[str, Any], step: int) -> Iterator[str]:
    """Say where the file pads pictures to other sizes than the network takes."""
    said = prepared.get("pad_divisor", 1)
    if prepared.get("keep_ratio") and said != step:
        yield (
            f"the file pads pictures to multiples of {said}, and the network takes multiples of "
            f"{step}: SimAM takes its mean over the padding too, so that gives other outputs"
        )


def _described(identity: DetectorIdentity, said: StatedDetector) -> dict[str, Any]:
    """Give the manifest's `detector`: its kind, and all that it computes with."""
    settings = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(said.settings).items()
    }
    return {
        "kind": identity.kind,
        "classes": identity.classes,
        "class_agnostic": identity.class_agnostic,
        "roi_size": identity.roi_size,
        **settings,
        "assumed": list(said.assumed),
    }


def _taken_whole(identity: DetectorIdentity) -> Iterator[str]:
    name = identity.backbone.network.name
    yield f"a whole {identity.title}; its backbone alone is taken where {name} is named"
