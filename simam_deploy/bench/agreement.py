"""What is timed, held against a float32 reference on the very inputs that it is timed on.

By the one rule of `verify`: slice by slice, within what rounding makes of this network. It is the
outputs alone that are compared here, as the runtime gives them; gates, layers and the power of the
comparison are `simam-validate`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from simam_deploy.bench.records import Agreement
from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.validation import ValidationReport
from simam_deploy.errors import InputError
from simam_deploy.precision.original import Original, keep_original
from simam_deploy.source.subject import Subject
from simam_deploy.verify.cases import Case
from simam_deploy.verify.judge import behaviour_of, looked_into, run_cases_of
from simam_deploy.verify.outputs import compare, record
from simam_deploy.verify.pair import partners
from simam_deploy.verify.rule import rule_for
from simam_deploy.verify.spread import Behaviour


class Yardstick:
    """A reference's outputs of every case, and what rounding makes of them.

    Args:
        name: What the reference is called.
        subject: The reference, in float32.
        cases: By batch.
        folder: For its graph.

    Raises:
        InputError: It cannot be run, or its graph not be made.
    """

    def __init__(self, name: str, subject: Subject, cases: Mapping[int, Case], folder: Path):
        self.name = name
        with subject.reference() as runner:
            self._recordings = {b: record(runner, (case,)) for b, case in cases.items()}
            self._outputs = [spec.name for spec in runner.outputs]
        self._original = _original(subject, folder)
        self._graphs: dict[int, Mapping[Case, Feeds]] = {}
        self._behaviours: dict[tuple[int, str], Behaviour] = {}

    def hold(
        self, batch: int, precision: str, names: Sequence[str], got: Sequence[Array]
    ) -> Agreement:
        """Hold outputs against the reference's.

        Args:
            batch: The case.
            precision: Of the model that gave them.
            names: The outputs' own.
            got: The outputs, in the order of the names.
        """
        recording = self._recordings[batch]
        (case,) = recording.cases
        theirs = partners(names, self._outputs)
        outputs = {theirs[name]: array for name, array in zip(names, got, strict=True)}
        try:
            rule = rule_for("fp32", precision)
            behaviour = self._behaviour(batch, precision)
            report = compare(recording, rule, behaviour, {case: outputs}, "")
        except InputError as error:
            return Agreement(self.name, None, None, False, str(error))
        return _agreement(self.name, report)

    def _behaviour(self, batch: int, precision: str) -> Behaviour:
        """Tell what rounding makes of the network on a case, computed when it is first asked."""
        if batch not in self._graphs:
            recording = self._recordings[batch]
            self._graphs[batch] = run_cases_of(looked_into(self._original), recording)
        key = batch, precision
        if key not in self._behaviours:
            graph = looked_into(self._original)
            self._behaviours[key] = behaviour_of(graph, self._graphs[batch], "fp32", precision)
        return self._behaviours[key]


def _original(subject: Subject, folder: Path) -> Original:
    traced = subject.graph()
    return keep_original(traced.model, subject.opset, False, folder, simplified=False)


def _agreement(name: str, report: ValidationReport) -> Agreement:
    worst = report.worst
    found = None if worst.reason else worst.max_rel
    return Agreement(name, found, worst.allowed, report.outputs_passed, worst.reason)
