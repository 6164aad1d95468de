"""A reference and a candidate that are held against each other."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.specs import SimamSite, TensorSpec, in_float32
from simam_deploy.errors import InputError, UsageError, ValidationError
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.sites import check_sites
from simam_deploy.graph.types import precision_of
from simam_deploy.precision.original import Original, keep_original
from simam_deploy.runtime.protocol import Closing, Runner
from simam_deploy.runtime.renamed import Renamed
from simam_deploy.source import load_subject
from simam_deploy.source.left_free import filled
from simam_deploy.source.options import NetworkOptions
from simam_deploy.source.samples.inputs import batch_of, picture_inputs, size_fact
from simam_deploy.source.subject import InputShapes, Subject
from simam_deploy.verify.candidate import Candidate


@dataclass(frozen=True)
class Pair:
    """A reference's graph and a candidate, opened so that both can be given the same arrays.

    Attributes:
        original: The reference's graph.
        sites: Its SimAM, by the source's own word.
        candidate: The other.
        inputs: The reference's.
        outputs: The reference's names.
        notes: What was seen in the reference's graph.
    """

    original: Original
    sites: tuple[SimamSite, ...]
    candidate: Candidate
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @contextlib.contextmanager
    def open_candidate(self) -> Iterator[Runner]:
        """Run the candidate under the reference's names."""
        with self.renamed(self.candidate.runner()) as runner:
            yield runner

    def renamed(self, runner: Runner) -> Runner:
        """Give a runner of the candidate the reference's names; its failures are findings."""
        return _Answerable(under_names(runner, self.inputs, self.outputs), self.candidate.path)

    def own_names(self, feeds: Feeds) -> dict[str, Array]:
        """Give feeds under the candidate's names."""
        names = partners([s.name for s in self.candidate.inputs], [s.name for s in self.inputs])
        return {own: feeds[theirs] for own, theirs in names.items()}

    def matched(self, runner: Runner) -> Iterator[str]:
        """Say what of a runner of the candidate was matched by position, cast, or left out."""
        own = self.candidate.inputs
        for kind, theirs, names in (
            ("inputs", [s.name for s in self.inputs], [s.name for s in own]),
            ("outputs", list(self.outputs), list(self.candidate.outputs)),
        ):
            if not set(theirs) <= set(names):
                yield (
                    f"{kind} matched by position: {', '.join(theirs)} against {', '.join(names)}"
                )
        if len(runner.outputs) > len(self.outputs):
            yield f"the candidate has {len(runner.outputs) - len(self.outputs)} more outputs"
        for spec in own:
            if spec.dtype in ("float16", "bfloat16"):
                yield f"input {spec.name} is {spec.dtype}: the float32 inputs were rounded to it"

    def batch_size(self, wanted: int) -> int:
        """Give the batch that the candidate fixes or is tuned for, else the one that is wanted."""
        return batch_of(taken_by_both(self.inputs, self.candidate)) or wanted


def pair_up(
    subject: Subject,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[str, ...],
    candidate: Candidate,
    folder: Path,
) -> Pair:
    """Write the reference's graph to `folder`.

    Raises:
        InputError: The graph cannot be made.
    """
    traced = subject.graph()
    sites = check_sites(traced.model)
    original = keep_original(traced.model, subject.opset, candidate.fused, folder, simplified=False)
    return Pair(original, sites, candidate, inputs, outputs, traced.notes)


def shapes_for(
    subject: Subject, inputs: tuple[TensorSpec, ...], candidate: Candidate
) -> tuple[InputShapes, ...]:
    """Give the full input shapes to compare at: what the candidate is tuned for or leaves free."""
    wanted = [_fitted(each, inputs) for each in candidate.shapes] or subject.shapes
    return tuple(dict.fromkeys(_fitted(each, candidate.inputs) for each in wanted))


def taken_by_both(inputs: tuple[TensorSpec, ...], candidate: Candidate) -> tuple[TensorSpec, ...]:
    """Give a reference's inputs, with the sizes that the candidate fixes or is tuned for."""
    own = candidate.shapes[0] if candidate.shapes else [spec.shape for spec in candidate.inputs]
    return tuple(
        TensorSpec(spec.name, spec.dtype, tuple(map(_narrower, spec.shape, sizes)))
        for spec, sizes in zip(inputs, own, strict=True)
    )


def _narrower(one: int | str, other: int | str) -> int | str:
    return other if isinstance(one, str) else one


def load_reference(path: Path, options: NetworkOptions, candidate: Candidate) -> Subject:
    """Open a reference at the sizes that the candidate takes.

    Raises:
        UsageError: It is not float32, or does not take the candidate's sizes.
    """
    if path.suffix.lower() == ".onnx":
        _check_float32(path, candidate)
        return load_subject(path, options)
    if path.suffix.lower() == ".pt2":
        return load_subject(path, options)
    try:
        return load_subject(path, _asked_as(options, candidate))
    except UsageError as error:
        taken = "; ".join(map(str, candidate.inputs))
        line = f"{candidate.path.name} takes {taken}; for {path.name}, {error}"
        raise error.reworded(line) from error


def _asked_as(options: NetworkOptions, candidate: Candidate) -> NetworkOptions:
    """Ask for a source that takes what a candidate does."""
    alone = _given_by_samples(candidate)
    if alone is None or options.inputs:
        return _with_inputs(options, candidate.inputs)
    return _sized(options, alone)


def _given_by_samples(candidate: Candidate) -> TensorSpec | None:
    """Give the input that samples become, where it is all that need be said, and in floats."""
    sized = bool(size_fact(candidate.facts.get("preprocessing")))
    with contextlib.suppress(UsageError):
        sample = picture_inputs(candidate.inputs, sized).sample
        return sample if in_float32(sample.dtype) == "float32" else None
    return None


def _sized(options: NetworkOptions, sample: TensorSpec) -> NetworkOptions:
    """Ask for an input's own sizes, and where its sides are free for those that were given."""
    batch, *sizes = sample.shape
    if any(isinstance(size, str) for size in sizes):
        return replace(options, dynamic="hw")
    fixed = int(batch) if isinstance(batch, int) else 1
    own = (fixed, *map(int, sizes))
    shape = filled(options.input_shape, own, range(len(own))) if options.input_shape else own
    return replace(options, dynamic=_dynamic((sample,)), input_shape=shape)


def _with_inputs(options: NetworkOptions, inputs: tuple[TensorSpec, ...]) -> NetworkOptions:
    """Ask for the inputs that were given, or else for the candidate's, if their sizes are known.

    The batch is a number that no fixed input begins with.
    """
    dynamic = _dynamic(inputs)
    free = [size for spec in inputs for size in spec.shape[1:] if isinstance(size, str)]
    if options.inputs or free:
        return replace(options, dynamic=dynamic)
    fixed = {spec.shape[0] for spec in inputs if spec.shape}
    batch = next(size for size in itertools.count(1) if size not in fixed)
    return replace(options, dynamic=dynamic, inputs=tuple(_asked(s, batch) for s in inputs))


def _dynamic(inputs: tuple[TensorSpec, ...]) -> str:
    """Say what is free of inputs, as an export is asked for it."""
    if any(isinstance(size, str) for spec in inputs for size in spec.shape[1:]):
        return "hw"
    return "batch" if any(isinstance(d, str) for spec in inputs for d in spec.shape) else "none"


def _asked(spec: TensorSpec, batch: int) -> TensorSpec:
    shape = tuple(batch if isinstance(size, str) else size for size in spec.shape)
    return TensorSpec(spec.name, in_float32(spec.dtype), shape)


def _check_float32(path: Path, candidate: Candidate) -> None:
    precision = precision_of(read_model(path))
    if precision != "fp32":
        swap = f", and {candidate.path.name} is fp32: swap them"
        raise UsageError(
            f"{path.name}, the reference, is {precision}: a reference must be float32"
            f"{swap if candidate.precision == 'fp32' else ''}"
        )


def check_inputs(inputs: tuple[TensorSpec, ...], candidate: Candidate) -> None:
    """See to it that both models can be given the same arrays.

    Raises:
        InputError: They cannot.
    """
    theirs = candidate.inputs
    alike = len(inputs) == len(theirs) and all(
        len(a.shape) == len(b.shape) and all(map(_may_equal, a.shape, b.shape))
        for a, b in zip(inputs, theirs, strict=True)
    )
    if not alike:
        raise InputError(
            f"the models do not take the same input: {'; '.join(map(str, inputs))} against "
            f"{'; '.join(map(str, theirs))} of {candidate.path.name}"
        )


def _may_equal(a: int | str, b: int | str) -> bool:
    return isinstance(a, str) or isinstance(b, str) or a == b


def _fitted(
    shapes: Sequence[tuple[int, ...]], inputs: Sequence[TensorSpec]
) -> tuple[tuple[int, ...], ...]:
    """Put the sizes that a model's inputs fix into a case's shapes."""
    return tuple(
        tuple(d if isinstance(d, int) else n for d, n in zip(spec.shape, shape, strict=True))
        for spec, shape in zip(inputs, shapes, strict=True)
    )


def partners(own: Sequence[str], theirs: Sequence[str]) -> dict[str, str]:
    """Pair names: each with itself where both have it, the rest by position."""
    left = iter([name for name in theirs if name not in own])
    return {name: name if name in theirs else next(left, name) for name in own}


def under_names(runner: Runner, inputs: tuple[TensorSpec, ...], outputs: tuple[str, ...]) -> Runner:
    """Give a runner the names of another, by position where they differ."""
    ins = partners([s.name for s in runner.inputs], [s.name for s in inputs])
    outs = partners([s.name for s in runner.outputs], outputs)
    if all(a == b for a, b in (ins | outs).items()):
        return runner
    return Renamed(runner, tuple(ins.values()), tuple(outs.values()))


class _Answerable(Closing):
    """A candidate whose failure to run is a finding; what it is given is read outside of it."""

    def __init__(self, runner: Runner, path: Path) -> None:
        self.name = runner.name
        self.inputs = runner.inputs
        self.outputs = runner.outputs
        self._runner = runner
        self._path = path

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Compute every output.

        Raises:
            ValidationError: It cannot.
        """
        with at_fault(self._path):
            return self._runner.run(feeds)

    def close(self) -> None:
        """Close the runner."""
        self._runner.close()


@contextlib.contextmanager
def at_fault(path: Path) -> Iterator[None]:
    """Take for a failed validation what keeps the candidate from running."""
    try:
        yield
    except InputError as error:
        raise ValidationError(f"{path.name} cannot be run: {error}") from error
