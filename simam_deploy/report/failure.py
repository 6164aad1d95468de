"""One line for what made a validation fail: the innermost cause that was found."""

from __future__ import annotations

from simam_deploy.artifacts import GateCheck, LayerCheck, ValidationReport


def describe_failure(report: ValidationReport) -> str:
    """Name the first wrong gate, else the first wrong layer, else the output.

    A gate or a layer is judged by itself, so it is where the fault is; an output is where a fault
    arrives.
    """
    for what, checks in (("the gate of SimAM", report.gates), ("layer", report.layers)):
        wrong = [check for check in checks if not check.passed]
        if wrong:
            return f"{what} {_local(wrong[0])} ({len(wrong)} of {len(checks)} fail)"
    worst = report.worst
    found = worst.reason or f"off by {worst.max_rel:.1e} of the largest value"
    return f"output {worst.output} of case '{worst.case}' is {found} (allowed {worst.allowed:.0e})"


def _local(check: GateCheck | LayerCheck) -> str:
    found = check.reason or f"off by {check.error_ulps:.3g} units of rounding"
    return f"{check.name} is {found} (allowed {check.allowed_ulps:g})"
