"""What an int8 or fp8 file leaves in float32 beside the first and last layers, and why.

A tensor may have no scale that does for all samples: that shows in the tensor itself, and its
readers are left. An output may cost more than it must though every tensor is right: then layers
are left by divide and conquer (`verify.bisect`) until it does not. What is wrong otherwise, such as
a scale that is not what was measured, is a fault of the conversion, and no file comes of it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from simam_deploy.core.progress import Progress
from simam_deploy.core.validation import ValidationReport
from simam_deploy.graph.file.write import write_model
from simam_deploy.precision.int8 import Measured, Quantised, judge
from simam_deploy.precision.int8.placement import Choice
from simam_deploy.precision.int8.tensors import RANGE
from simam_deploy.source.samples import Dataset
from simam_deploy.verify.bisect import Search, TrialsSpentError

TRIALS = 32
"""Each judges all outputs; one layer of 64 takes some 14, two some 24."""
_REASON = "with it an output costs more than eight bits must"


@dataclass(frozen=True)
class Trials:
    """Conversions of one network, each written over the last.

    Attributes:
        measured: The float32 file, calibrated.
        judged: Samples to judge on.
        file: Where it is written.
    """

    measured: Measured
    judged: Dataset
    file: Path

    def of(self, choice: Choice) -> tuple[Quantised, ValidationReport]:
        """Convert as is chosen, and judge that."""
        quantised = self.measured.quantised(choice)
        write_model(quantised.model, self.file)
        ranges = quantised.calibration["ranges"]
        report = judge(
            self.measured.file, self.file, self.judged, ranges=ranges, choice=quantised.choice
        )
        return quantised, report


def settle(
    trials: Trials, progress: Progress, choice: Choice | None = None
) -> tuple[Quantised, ValidationReport]:
    """Convert as much as can be; the last conversion lies in the file, right or not.

    Args:
        trials: Of the network.
        progress: Told each step.
        choice: What is asked for; more is left than that, if it must be.

    Raises:
        InputError: Nothing is left to be int8.
    """
    choice = choice or Choice()
    while True:
        progress("judging every quantised tensor and output")
        quantised, report = trials.of(choice)
        lossy = {c.name: c.error_ulps for c in report.layers if c.kind == RANGE and not c.passed}
        if not lossy:
            break
        choice = choice.leaving(trials.measured.leaving(lossy))
    if report.passed or not all(check.passed for check in report.layers):
        return quantised, report
    found = _needed(trials, choice, quantised.names, progress)
    if len(found) < len(quantised.names):
        return trials.of(choice.leaving(dict.fromkeys(found, _REASON)))
    return trials.of(choice)


def _needed(
    trials: Trials, choice: Choice, names: Sequence[str], progress: Progress
) -> Sequence[str]:
    """Find a small set of layers without which all is well; all of them where there is none.

    A fault that is in no layer shows with a single one in int8 too: two trials refuse it.
    """

    def passes(found: Collection[str]) -> bool:
        if len(found) == len(names):
            return True
        return trials.of(choice.leaving(dict.fromkeys(found, _REASON)))[1].passed

    search = Search(passes, progress, TRIALS)
    search.passes(names)
    if search.passes(names[:-1]) or search.passes(names[1:]):
        with suppress(TrialsSpentError):
            search.passes(search.divide((), False, names))
    return search.best
