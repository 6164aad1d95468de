"""What all subjects have in common: the inputs that they run on, and whom they are held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from simam_deploy.bench.asked import COMPILE, EAGER, ENGINE, Asked, runtime_of
from simam_deploy.bench.inputs import at_batch, case_of
from simam_deploy.bench.options import BenchOptions
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError, UsageError
from simam_deploy.source import load_subject
from simam_deploy.source.options import NetworkOptions, SampleOptions
from simam_deploy.source.samples import Dataset
from simam_deploy.source.subject import InputShapes, Subject
from simam_deploy.verify.cases import Case
from simam_deploy.verify.given import open_samples

_OF_ANY = ("input_shape", "preprocess", "trust_pickle", "allow_none")
"""What may be said of an .onnx, which states all else itself."""


@dataclass(frozen=True)
class Basis:
    """What is run, and what it is held against.

    Attributes:
        reference: Who is right by definition, None where nobody in float32 is there.
        subject: Its network.
        inputs: Of the model that the shapes are of.
        shapes: Full ones, by batch.
        cases: Inputs, by batch.
        samples: To measure accuracy on.
        notes: What a reader should know.
    """

    reference: Asked | None
    subject: Subject | None
    inputs: tuple[TensorSpec, ...]
    shapes: Mapping[int, InputShapes]
    cases: Mapping[int, Case]
    samples: Dataset | None
    notes: tuple[str, ...]


def find_basis(
    subjects: Sequence[Asked],
    network: NetworkOptions,
    samples: SampleOptions,
    options: BenchOptions,
) -> Basis:
    """Find a reference, or at least somebody who tells what inputs look like.

    Raises:
        InputError: No model can be used at all; says why of the first.
        UsageError: An option does not fit, or the reference that was named is not in float32.
    """
    asked, subject = _find_source(subjects, network, options)
    if subject is None:
        inputs, first = _of_plan(asked)
    else:
        with subject.reference() as runner:
            inputs, first = runner.inputs, subject.shapes[0]
    shapes = {batch: at_batch(inputs, first, batch) for batch in options.batches}
    facts = subject.facts if subject else {}
    known = facts.get("preprocessing")
    data = open_samples(samples, inputs, first, known, facts.get("classes"))
    right = subject is not None and subject.precision == "fp32"
    return Basis(
        reference=asked if right else None,
        subject=subject if right else None,
        inputs=inputs,
        shapes=shapes,
        cases={b: case_of(inputs, each, data, known) for b, each in shapes.items()},
        samples=data,
        notes=(
            *(() if right else ("no float32 model to hold outputs against: name a reference",)),
            *(data.notes if data else ()),
        ),
    )


def _find_source(
    subjects: Sequence[Asked], network: NetworkOptions, options: BenchOptions
) -> tuple[Asked, Subject | None]:
    """Open the reference, else any source; None with the first plan where there are only plans.

    Raises:
        InputError: None can be opened; says why of the first.
    """
    if options.reference is not None:
        return _named_reference(Path(options.reference), subjects, network)
    opened, failures = list[tuple[Asked, Subject]](), list[InputError]()
    for asked in _sources(subjects):
        try:
            opened.append((asked, load_subject(asked.path, said_of(asked.path, network))))
        except InputError as error:
            failures.append(error)
            continue
        if opened[-1][1].precision == "fp32":
            return opened[-1]
    if opened:
        return opened[0]
    plan = next((each for each in subjects if each.how == ENGINE), None)
    if plan is None:
        raise failures[0]
    return plan, None


def _sources(subjects: Sequence[Asked]) -> Iterator[Asked]:
    """List what may be a reference: what PyTorch runs first, each file once."""
    yield from (each for each in subjects if each.how == EAGER)
    files = dict.fromkeys(e.path for e in subjects if e.how not in (EAGER, COMPILE, ENGINE))
    yield from (next(e for e in subjects if e.path == path) for path in files)


def _named_reference(
    path: Path, subjects: Sequence[Asked], network: NetworkOptions
) -> tuple[Asked, Subject]:
    """Open the reference that was named.

    Raises:
        InputError: It cannot be used.
        UsageError: It is not float32.
    """
    subject = load_subject(path, said_of(path, network))
    if subject.precision != "fp32":
        raise UsageError(
            f"{path.name} is {subject.precision}: a reference must be float32",
            options=("reference",),
        )
    own = next((e for e in subjects if e.path == path and e.how != COMPILE), None)
    return own or Asked(path, EAGER, path.name, network), subject


def said_of(path: Path, network: NetworkOptions) -> NetworkOptions:
    """Give what is said of a source; an .onnx states most itself."""
    if runtime_of(path) == "torch":
        return network
    return replace(NetworkOptions(), **{name: getattr(network, name) for name in _OF_ANY})


def _of_plan(asked: Asked) -> tuple[tuple[TensorSpec, ...], InputShapes]:
    """Tell what a plan takes, and the shapes that it is tuned for.

    Raises:
        EngineError: It cannot be run here.
    """
    from simam_deploy.engine.run.runner import TensorRTRunner

    with TensorRTRunner(asked.path, trust=asked.trust_engine) as runner:
        return runner.inputs, tuple(each.opt for each in runner.profiles[0])
