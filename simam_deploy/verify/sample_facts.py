"""What a reference and its candidate state of pictures and classes, and which of it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simam_deploy.source.recipes import recipe_text
from simam_deploy.source.samples import Dataset
from simam_deploy.source.subject import Subject
from simam_deploy.verify.candidate import Candidate


@dataclass(frozen=True)
class SampleFacts:
    """What holds for the samples.

    Attributes:
        preprocessing: Facts of how a picture becomes an input, None where nobody states them.
        classes: Their names, None where nobody states them.
        notes: On what is stated in two ways.
    """

    preprocessing: Mapping[str, Any] | None
    classes: Sequence[str] | None
    notes: tuple[str, ...]


def sample_facts(subject: Subject, candidate: Candidate, asked: bool) -> SampleFacts:
    """Choose between what two models state.

    The candidate's manifest comes first: a checkpoint states no more than what its family's
    authors do, which its export may have been asked to do otherwise.

    Args:
        subject: The reference.
        candidate: The candidate.
        asked: Whether a user said how the reference's pictures are prepared, which beats both.
    """
    ours, theirs = (each.facts.get("preprocessing") for each in (subject, candidate))
    taken = theirs if theirs and not asked else ours
    other = ours if taken is theirs else theirs
    said, unsaid = recipe_text(taken or {}), recipe_text(other or {})
    notes: tuple[str, ...] = ()
    if None not in (said, unsaid) and said != unsaid:
        whose = "asked" if asked else "the candidate states"
        who = "candidate" if asked else "reference"
        notes = (f"pictures are prepared as {whose}: {said}; the {who} states: {unsaid}",)
    classes = subject.facts.get("classes") or candidate.facts.get("classes")
    return SampleFacts(taken, classes, notes)


def notes_on(dataset: Dataset) -> Iterator[str]:
    """Say what a user should know of samples whose labels were used."""
    yield from dataset.notes
    if dataset.by_place:
        shown = ", ".join(f"{name:.40}" for name in (dataset.classes or ())[:3])
        yield f"nothing names the classes: the folders ({shown}, ...) are taken in their order"
