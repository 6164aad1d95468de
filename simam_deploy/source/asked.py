"""What a user says of a network's pictures, which beats what the network's source says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError, UsageError
from simam_deploy.models.zoo import NETWORKS
from simam_deploy.source.recipes import read_recipe, recipe_text
from simam_deploy.source.samples.inputs import picture_inputs, size_fact
from simam_deploy.source.samples.preparation import made_size, read_preparation
from simam_deploy.source.stated.of_onnx import take_metadata
from simam_deploy.source.subject import Subject


def with_recipe(subject: Subject, text: str) -> Subject:
    """Have pictures prepared by a recipe, and say so.

    Raises:
        UsageError: The recipe does not fit the network's input, or that takes no pictures.
    """
    with subject.reference() as runner:
        specs = runner.inputs
    told = size_fact(subject.facts.get("preprocessing"))
    spec = picture_inputs(specs, bool(told)).sample
    shape = subject.shapes[0][specs.index(spec)]
    facts = {**asked_preprocessing(text, spec, shape), **told}
    notes, against = overruled(facts, _said_by_file(subject))
    return replace(
        subject,
        facts={**subject.facts, "preprocessing": facts},
        notes=(*subject.notes, *notes),
        contradictions=(*subject.contradictions, *against),
    )


def _said_by_file(subject: Subject) -> Mapping[str, Any] | None:
    """Give what a source itself says of pictures, and not its family's authors."""
    name, _, _ = subject.facts["arch"].partition(" ")  # what a network has stands behind it
    stated, network = subject.facts.get("preprocessing"), NETWORKS.get(name)
    return None if network and stated == network.family.preprocessing else stated


def overruled(
    asked: Mapping[str, Any], stated: Mapping[str, Any] | None
) -> tuple[list[str], list[str]]:
    """Say how pictures are prepared: as a note, or as a contradiction of what the file says."""
    ours, theirs = recipe_text(asked), recipe_text(stated or {})
    line = f"pictures are prepared as asked: {ours}"
    return ([line], []) if theirs in (None, ours) else ([], [f"{line}; the file says {theirs}"])


def asked_preprocessing(
    text: str, spec: TensorSpec, shape: tuple[int | str, ...]
) -> dict[str, Any]:
    """Read a recipe for an input.

    Args:
        text: The recipe.
        spec: The input.
        shape: Its full shape, whose sizes stand for what the recipe leaves open.

    Returns:
        The manifest's `preprocessing` facts.

    Raises:
        UsageError: The text is no recipe, or does not fit.
    """
    try:
        recipe = read_recipe(text)
        if len(spec.shape) != 4:
            raise ValueError(f"{spec} takes no pictures")
        facts = recipe.complete(shape)
        _check_sizes(facts, spec, bool(recipe.said & {"resize", "crop"}))
        read_preparation(facts, spec)
    except (ValueError, InputError) as error:
        raise UsageError(str(error), options=("preprocess",)) from error
    return facts


def preprocessing_of_onnx(
    metadata: Mapping[str, str], inputs: Sequence[TensorSpec], preprocess: str | None
) -> Mapping[str, Any] | None:
    """Say how pictures become what an .onnx takes: as asked, else as its metadata say.

    Returns:
        `preprocessing` facts, None where nobody says any.

    Raises:
        UsageError: A recipe is given, and the file takes more than pictures give, or it does not
            fit.
    """
    first = next((spec.shape for spec in inputs), ())
    said: Mapping[str, Any] | None = take_metadata(metadata, first).facts.get("preprocessing")
    if preprocess is None:
        return said
    told = size_fact(said)
    spec = picture_inputs(inputs, bool(told)).sample
    return {**asked_preprocessing(preprocess, spec, spec.shape), **told}


def _check_sizes(facts: Mapping[str, Any], spec: TensorSpec, sized: bool) -> None:
    """Hold what a recipe makes of pictures against what the input fixes.

    Raises:
        ValueError: The sizes that it names are others, or no multiples of its divisor.
    """
    made, step = made_size(facts), facts.get("pad_divisor", 1)
    fixed = [isinstance(side, int) for side in spec.shape[2:]]
    given = [side for side in spec.shape[2:] if isinstance(side, int)]
    wanted = [side for side, is_fixed in zip(made or (), fixed, strict=True) if is_fixed]
    if sized and wanted != given:
        raise ValueError(
            f"the recipe makes pictures of {' x '.join(map(str, made or ()))}, height x width, "
            f"which {spec} does not take"
        )
    if any(side % step for side in given):
        raise ValueError(f"the recipe pads to multiples of {step}, which {spec} is not")
