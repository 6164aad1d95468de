"""What the outputs would have shown of faults, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator

from simam_deploy.core.validation import Seen, ValidationReport

ADVICE = "the inputs could not have shown such a fault: give real samples, or a trained network"


def verdict_word(report: ValidationReport, proved: str) -> str:
    """Give the word for a report that passed: `proved`, or that it is not."""
    return proved if report.proved else "NOT PROVED"


def power_lines(report: ValidationReport) -> Iterator[str]:
    """Word the power, a line each: what would have been seen, and what to do if it would not."""
    power = report.power
    if power is None:
        return
    if power.dropped and power.e_lambda:
        tried = f"the least visible of {power.tried} tried, of {power.sites}"
        left_out = f"a SimAM left out ({power.dropped.where}, {tried}): {_units(power.dropped)}"
        yield f"{left_out}; every lambda x 2: {_units(power.e_lambda)}"
    yield f"a channel or slice of an output off by 5 %: {_units(power.score)}"
    if power.still:
        yield f"the same whatever the input, so that nothing is shown: {', '.join(power.still)}"
    if not power.proves:
        yield ADVICE


def _units(seen: Seen) -> str:
    verdict = "seen" if seen.units > 1 else "not seen"
    if math.isinf(seen.units):  # as of how many there are, whose bound is 0
        return f"more than a bound of 0, {verdict}"
    return f"{seen.units:.2g} times the bound, {verdict}"
