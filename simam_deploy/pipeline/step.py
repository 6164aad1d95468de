"""A way from a source to a file: what is asked, and what came of it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from simam_deploy.core.labels import check_number
from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import SimamSite, TensorSpec
from simam_deploy.core.staging import explained
from simam_deploy.core.validation import ValidationReport
from simam_deploy.graph.lower import WITH_FUNCTIONS
from simam_deploy.source.lambdas import Lambda
from simam_deploy.source.options import SampleOptions
from simam_deploy.source.subject import Subject
from simam_deploy.verify.given import given_cases, open_samples
from simam_deploy.verify.outputs import Recording, record
from simam_deploy.verify.rule import rule_for


@dataclass(frozen=True)
class Step:
    """How a graph is to be written: what was asked for, less what the source says itself."""

    lowering: str
    precision: str
    keep_io: bool
    simplify: bool
    file: Path
    progress: Progress
    classes: tuple[str, ...] = ()
    """The classes' names, where they were asked for."""

    @property
    def fused(self) -> bool:
        """Whether SimAM stays a node, and takes in what follows it."""
        return self.lowering in WITH_FUNCTIONS


@dataclass(frozen=True)
class Written:
    """A file that was written and judged, not yet published."""

    facts: dict[str, Any]
    sites: tuple[SimamSite, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    report: ValidationReport


@contextlib.contextmanager
def workspace(target: Path, stage: Path) -> Iterator[Path]:
    """Yield a folder for what is needed on the way to `target`, in its staging folder.

    Raises:
        InputError: The disk is full.
    """
    with explained(target), tempfile.TemporaryDirectory(dir=stage) as folder:
        yield Path(folder)


@dataclass(frozen=True)
class Reference:
    """What a source takes, the names of what it gives, and what it gave."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    recording: Recording
    notes: tuple[str, ...]
    """On the samples that it was run on."""

    def check_number(self, classes: Sequence[str]) -> None:
        """Hold the number of names that were asked for against the outputs.

        Raises:
            InputError: It is another than that of the scores.
        """
        outputs = next(iter(self.recording.outputs.values()))
        specs = [TensorSpec(name, str(a.dtype), a.shape) for name, a in outputs.items()]
        if classes:
            check_number(classes, specs)


def record_source(subject: Subject, precision: str, samples: SampleOptions) -> Reference:
    """Run the source on every input that a file of it in `precision` is judged on.

    Raises:
        InputError: It draws random numbers, gives nothing finite, or the samples do not fit.
    """
    rule = rule_for(subject.precision, precision)
    preprocessing = subject.facts.get("preprocessing")
    with subject.reference() as runner:
        dataset = open_samples(samples, runner.inputs, subject.shapes[0], preprocessing)
        cases = (
            *rule.cases(subject.shapes, preprocessing),
            *given_cases(dataset, runner.inputs),
        )
        names = tuple(spec.name for spec in runner.outputs)
        recording = record(runner, cases)
        return Reference(runner.inputs, names, recording, dataset.notes if dataset else ())


def facts_of(
    subject: Subject, notes: Sequence[str], sites: tuple[SimamSite, ...], step: Step
) -> dict[str, Any]:
    """Give the facts that the manifest will state."""
    contradictions = subject.contradicted(sites)
    return {
        **subject.facts,
        **_lambda_facts(subject.e_lambda, sites),
        "simam_sites": [asdict(site) for site in sites],
        "lowering": step.lowering,
        "precision": step.precision,
        "opset": subject.opset,
        "notes": [*subject.notes, *notes],
        **({"contradictions": contradictions} if contradictions else {}),
    }


def _lambda_facts(chosen: Lambda | None, sites: tuple[SimamSite, ...]) -> dict[str, Any]:
    """State the lambda that was chosen, or what all sites of a graph have, or that they differ."""
    if chosen is not None:
        return {"e_lambda": chosen.value, "e_lambda_source": chosen.source}
    values = {site.e_lambda for site in sites}
    if not values:
        return {"e_lambda": None, "e_lambda_source": "there is no SimAM"}
    if len(values) == 1:
        return {"e_lambda": values.pop(), "e_lambda_source": "read from the graph"}
    return {"e_lambda": None, "e_lambda_source": "read from the graph, different by site"}
