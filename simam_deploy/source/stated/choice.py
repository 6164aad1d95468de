"""What is taken of what a file says, beside what a user says and what was published."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simam_deploy.core.labels import check_number
from simam_deploy.core.specs import TensorSpec, shape_text
from simam_deploy.errors import InputError
from simam_deploy.source.left_free import ASSUMED_SIZE, IMAGE_AXES, filled, left_free
from simam_deploy.source.stated.record import Said, Stated, shown

_FIT = ("resize", "crop", "keep_ratio", "stretch", "pad", "pad_value", "pad_divisor")
_IMAGE = {"kind": "image", "layout": "NCHW"}
MOST_PIXELS = 1 << 21
"""Of an input that a file names: 1024 x 2048. Three of them take a ResNet some 0.5 GB; who wants
more says so."""


@dataclass(frozen=True)
class Taken:
    """What was taken.

    Attributes:
        facts: For the manifest: `preprocessing` and `classes`, where they are known.
        notes: Where each was found, and what is left open.
        contradictions: Where the file says other than the input is.
    """

    facts: dict[str, Any]
    notes: tuple[str, ...]
    contradictions: tuple[str, ...]


def take(
    stated: Stated, shape: Sequence[int | str], published: Mapping[str, Any] | None = None
) -> Taken:
    """Take class names, and how a picture becomes an input.

    Args:
        stated: What the file says.
        shape: The first input's, (N, C, H, W) where it is a picture; a text is a free dimension.
        published: The `preprocessing` of the network's family, None where it is of none; what the
            file says of it takes the place of that part.
    """
    facts: dict[str, Any] = {}
    size, channels = _contradicted_size(stated, shape), [*_contradicted_channels(stated, shape)]
    if len(shape) != 4:
        stated = replace(stated, levels=(), fits=(), sizes=())
    elif channels:
        stated = replace(stated, levels=())
    if prepared := _preprocessing(stated, published):
        facts["preprocessing"] = prepared
    if names := stated.one("classes"):
        facts["classes"] = list(names.value)
    notes = (*_notes(stated, facts), *stated.disagreements())
    return Taken(facts, notes, (*size, *channels))


def _preprocessing(stated: Stated, published: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Lay together how pixels and sizes are treated; None where one of them nobody says."""
    levels, fit = stated.one("levels"), stated.one("fits")
    if published is None:
        return {**_IMAGE, **levels.value, **fit.value} if levels and fit else None
    if published.get("kind") != "image":
        return dict(published)
    kept = {key: v for key, v in published.items() if not (fit and key in _FIT)}
    return {**kept, **(levels.value if levels else {}), **(fit.value if fit else {})}


def _notes(stated: Stated, facts: Mapping[str, Any]) -> Iterator[str]:
    """Say where what was taken was found, and what could not be read."""
    for text in stated.unread:
        yield f"{text.where} is {text.value}: left unread"
    if names := stated.one("classes"):
        yield f"{len(names.value)} class names, {names.where}"
    known = "preprocessing" in facts
    for what, title in (("levels", "pixels"), ("fits", "pictures")):
        if said := stated.one(what):
            left = "" if known else "; the rest of the preprocessing is said nowhere: left open"
            yield f"{title}: {shown(said.value)}, {said.where}{left}"


def input_shape(
    given: Sequence[int] | None,
    stated: Stated,
    published: Sequence[int] = (),
    free: Collection[int] = IMAGE_AXES,
) -> tuple[Sequence[int] | None, tuple[str, ...]]:
    """Choose the full shape of a picture's input: a user's, else of the size that the file says.

    Args:
        given: The user's.
        stated: What the file says.
        published: The family's (C, H, W); empty for a network of none.
        free: The axes of the full shape that a user may leave free.

    Returns:
        The shape, None where nobody says it, and a note on where it was found.

    Raises:
        UsageError: A user leaves free what cannot be.
    """
    if given is not None and not left_free(given):
        return given, ()
    shape, found = _stated_shape(stated, published)
    if given is None:
        return shape, found
    usual = shape or (1, *(published or [ASSUMED_SIZE] * (len(given) - 1)))
    return filled(given, usual, free), found


def _stated_shape(
    stated: Stated, published: Sequence[int]
) -> tuple[tuple[int, ...] | None, tuple[str, ...]]:
    """Give the full shape of the size that a file says, if it does, and where."""
    said, levels = size_of_input(stated), stated.one("levels")
    if said is None or len(published) not in (0, 3):
        return None, ()
    channels = published[0] if published else len(levels.value["mean"]) if levels else 3
    shape = (1, channels, *said.value)
    return shape, (f"input of {shape_text(said.value)}, {said.where}",)


def size_of_input(stated: Stated) -> Said | None:
    """Give the (height, width) that a file says, None where it is too large on its word alone."""
    said = stated.one("sizes")
    return said if said and said.value[0] * said.value[1] <= MOST_PIXELS else None


def _contradicted_channels(stated: Stated, shape: Sequence[int | str]) -> Iterator[str]:
    """Say where a picture has other channels than the file normalises."""
    levels = stated.one("levels")
    count = len(levels.value["mean"]) if levels else None
    if levels and len(shape) == 4 and isinstance(shape[1], int) and shape[1] != count:
        yield f"the input has {shape[1]} channels, and {levels.where} normalises {count}: left out"


def _contradicted_size(stated: Stated, shape: Sequence[int | str]) -> Iterator[str]:
    """Say where an input (N, C, H, W) has another height or width than the file names."""
    said, size = stated.one("sizes"), tuple(n for n in shape[2:] if isinstance(n, int))
    if said is not None and len(shape) == 4 and len(size) == 2 and size != said.value:
        yield (
            f"the input is {shape_text(size)}, and {said.where} says "
            f"{shape_text(said.value)}: SimAM takes its mean over the whole map, so another size "
            "gives other outputs"
        )


def name_classes(
    given: Sequence[str] | None, said: Sequence[str] | None, outputs: Sequence[TensorSpec]
) -> tuple[dict[str, list[str]], list[str]]:
    """Choose class names: a user's, else the file's where there are as many scores.

    Args:
        given: The user's, which were held against the scores before.
        said: The file's.
        outputs: The network's.

    Returns:
        The manifest's `classes`, if there are any, and what contradicts what.
    """
    if given is not None:
        return {"classes": list(given)}, [*_other_names(given, said or given)]
    if said is None:
        return {}, []
    try:
        check_number(said, outputs)
    except InputError as error:
        return {}, [f"the file's class names are left out: {error}"]
    return {"classes": list(said)}, []


def _other_names(given: Sequence[str], said: Sequence[str]) -> Iterator[str]:
    if list(given) != list(said):
        pairs = zip(given, said, strict=False)
        first = next((f", the first {a!r} for {b!r}" for a, b in pairs if a != b), "")
        yield f"{len(given)} class names were given, and the file has {len(said)} others{first}"
