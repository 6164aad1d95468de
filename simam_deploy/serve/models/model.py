"""One loaded version of a model: its ports, its facts, its batcher."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simam_deploy.core.labels import names_beside
from simam_deploy.errors import InputError, SimamError
from simam_deploy.graph.file.contents import onnx_contents
from simam_deploy.runtime import Runner
from simam_deploy.serve.models.attention import Attention
from simam_deploy.serve.models.batch import Outputs
from simam_deploy.serve.models.batcher import Batcher
from simam_deploy.serve.models.gates import GateWatch
from simam_deploy.serve.models.kept import Start, begun
from simam_deploy.serve.models.lines import Limits
from simam_deploy.serve.models.open_runner import open_runners
from simam_deploy.serve.models.seen import looked_at
from simam_deploy.serve.models.statistics import Statistics
from simam_deploy.serve.models.warm_up import check_runs, warm_up
from simam_deploy.serve.protocol.check import Port, port_of
from simam_deploy.serve.protocol.exchange import Query
from simam_deploy.serve.protocol.foreseen import Size, named_sizes, size_of
from simam_deploy.serve.protocol.profiles import Profile, check_profiles, most_rows, profiles_of
from simam_deploy.serve.protocol.refusals import BadRequest
from simam_deploy.serve.settings import Settings


@dataclass(frozen=True)
class Model:
    """A model that is ready.

    Attributes:
        name: By which requests call it.
        version: A number from 1, one more with every reload.
        path: The file it was loaded from.
        runtime: What computes it, for people.
        inputs: By name, in the graph's order.
        outputs: By name, in the graph's order.
        sizes: Of the outputs whose size follows from the inputs'.
        profiles: The shapes that an engine was built for; empty for any.
        facts: The manifest, empty where there is none.
        labels: Of the classes, empty where there are none.
        instances: Copies that compute side by side.
        statistics: What it did so far.
        batcher: Runs it.
        attention: Its SimAM sites' gates.
        gates: Statistics of them, where they are wanted.
        note: What an operator should know of how it was loaded; "" for nothing.
    """

    name: str
    version: str
    path: Path
    runtime: str
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    sizes: Mapping[str, Sequence[Size]]
    profiles: Sequence[Profile]
    facts: Mapping[str, Any]
    labels: Sequence[str]
    instances: int
    statistics: Statistics
    batcher: Batcher
    attention: Attention
    gates: GateWatch
    note: str

    def close(self) -> None:
        """Compute what is queued and free everything; blocks until then."""
        self.batcher.close()
        self.attention.close()

    def foreseen(self, query: Query) -> int:
        """Count the bytes of an answer's tensors as far as they are known before it is computed."""
        names = [output.name for output in query.wanted or ()] or self.sizes
        return sum(
            size_of(self.sizes[name], query.feeds) * self.outputs[name].dtype.itemsize
            for name in names
            if name in self.sizes
        )

    async def infer(self, query: Query, spent: float = 0.0) -> Outputs:
        """Compute a request.

        Args:
            query: It.
            spent: Seconds since it arrived.

        Raises:
            Refusal: As `Batcher.run`; BadRequest for an output that the model has not, or a
                shape that its engine was not built for.
        """
        for output in query.wanted or ():
            if output.name not in self.outputs:
                raise BadRequest(
                    f"unexpected inference output {output.name!r:.80} for model '{self.name}'; "
                    f"it has {', '.join(self.outputs)}"
                )
        check_profiles(self.profiles, query.feeds)
        if (seen := looked_at.get()) is not None:
            seen.model = self.name, self.version
        outputs = await self.batcher.run(query.feeds, query.timeout, spent)
        self.gates.offer(query.feeds)
        return outputs


def load_model(name: str, path: Path, version: str, settings: Settings) -> Model:
    """Check a file against its manifest, open its copies and warm them up; blocks meanwhile.

    Raises:
        InputError: The file cannot be used, is not the manifest's, or does not run.
    """
    runners: list[Runner] = []
    attention = Attention(path)  # before the file is read: it knows then which one was
    with contextlib.ExitStack() as unless_ready:
        try:
            facts, contents = onnx_contents(path) if path.suffix == ".onnx" else ({}, {})
            with begun(path, facts, contents, settings) as start:
                del contents  # a kept graph stands for them
                for runner in open_runners(path, settings, start.read):
                    unless_ready.callback(runner.close)
                    runners.append(runner)
                # A plan's runner has checked its manifest.
                facts = getattr(runners[0], "facts", facts)
                model = _ready_model(name, version, settings, facts, runners, attention, start)
        except SimamError as error:
            raise error.reworded(f"model '{name}': {error}") from error
        unless_ready.pop_all()
    return model


def _ready_model(
    name: str,
    version: str,
    settings: Settings,
    facts: Mapping[str, Any],
    runners: Sequence[Runner],
    attention: Attention,
    start: Start,
) -> Model:
    """Check the ports, warm every copy up, and start the batcher."""
    path = attention.path
    first = runners[0]
    inputs, outputs = (
        {spec.name: port_of(spec) for spec in specs} for specs in (first.inputs, first.outputs)
    )
    if not inputs:
        raise InputError("it has no inputs")
    statistics = Statistics()
    profiles = profiles_of(first)
    most = most_rows(profiles, settings.max_batch_size)
    limits = _limits(settings, most if _warmed_up(runners, facts, most, start) else None)
    return Model(
        name=name,
        version=version,
        path=path,
        runtime=first.name,
        inputs=inputs,
        outputs=outputs,
        sizes=named_sizes(first.inputs, first.outputs),
        profiles=profiles,
        facts=facts,
        labels=names_beside(path, facts, first.outputs),
        instances=len(runners),
        statistics=statistics,
        batcher=Batcher(runners, limits, statistics, name),
        attention=attention,
        gates=GateWatch(attention, settings.gate_interval),
        note=start.note,
    )


def _warmed_up(
    runners: Sequence[Runner], facts: Mapping[str, Any], most: int, start: Start
) -> bool:
    """See that every copy runs, and tell whether requests may share a batch."""
    if start.keeps_rows_apart is None:
        found = [warm_up(runner, facts, most) for runner in runners]  # each is warm, then
        apart = all(found)
        start.keep(apart)
        return apart
    for runner in runners:
        check_runs(runner, facts)
    return start.keeps_rows_apart


def _limits(settings: Settings, max_batch: int | None) -> Limits:
    """Bound the batcher; `max_batch` is None where a copy does not keep rows apart."""
    return Limits(
        max_batch=max_batch,
        max_delay_us=0 if max_batch is None else settings.max_delay_us,
        max_queue=settings.max_queue,
        timeout=settings.timeout,
    )
