"""SimAM's operators for ONNX Runtime, where they are: whether they compute what was judged.

No verdict depends on it, nor on whether there are any: a proof is of the file, which most machines
run by its functions' bodies. But who serves it here has the operators, and is told.
"""

from __future__ import annotations

from simam_deploy.core.files import named_in_text
from simam_deploy.errors import SimamError
from simam_deploy.op.find import OPERATORS_VARIABLE, find_operators
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.verify.outputs import Recording, compare, run_cases
from simam_deploy.verify.pair import Pair
from simam_deploy.verify.rule import Rule
from simam_deploy.verify.spread import Behaviour

AGREE = "SimAM's operators for ONNX Runtime, which are here, compute it within the same bounds"


def by_operators(
    pair: Pair, recording: Recording, rule: Rule, behaviour: Behaviour
) -> tuple[str, ...]:
    """Hold a float32 candidate against its reference once more, as the operators compute it.

    Returns:
        What there is to say; nothing where no node is theirs, or none are here.
    """
    candidate = pair.candidate
    if not candidate.fused or candidate.precision != "fp32" or find_operators() is None:
        return ()
    try:
        with named_in_text(candidate.path) as path, pair.renamed(OnnxRunner(path)) as runner:
            got = run_cases(runner, recording.cases)
            report = compare(recording, rule, behaviour, got, runner.name)
    except SimamError as error:
        return (_otherwise(str(error)),)
    if report.outputs_passed:
        return (AGREE,)
    worst = report.worst
    far = worst.reason or f"{worst.max_rel:.1e} of {worst.allowed:.1e} allowed"
    return (_otherwise(f"{worst.output} of '{worst.case}', {far}"),)


def _otherwise(how: str) -> str:
    return (
        f"SimAM's operators for ONNX Runtime, which are here, do NOT compute it ({how}): leave "
        f"them out by {OPERATORS_VARIABLE}=off, and build them anew"
    )
