"""What a comparison would have shown of faults: the part of the page on a check's power."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from simam_deploy.report.page.figures import bar, number, times
from simam_deploy.report.page.html import Child, figure, name, table, tag, wrapped
from simam_deploy.report.power_text import ADVICE

_DECADES = 5
"""Of the scale, from a tenth of the bound on."""


def power(said: Mapping[str, Any]) -> Child:
    """Show what the comparison would have shown of planted faults."""
    seen = said.get("power")
    if not isinstance(seen, dict):
        return None
    faults = {
        "dropped": f"a SimAM left out, the least visible of {seen.get('tried', '?')} tried",
        "e_lambda": "every \N{GREEK SMALL LETTER LAMDA} doubled",
        "score": "a channel or slice of an output off by 5 %",
    }
    there = [(text, seen[key]) for key, text in faults.items() if isinstance(seen.get(key), dict)]
    if not there:
        return None
    still = seen.get("still")
    alike = ", ".join(map(str, still)) if isinstance(still, list) else ""
    caption = (
        "Faults that were planted, and how far each moves an output, in units of its bound: above "
        "1 the comparison would have refused it. The bars are logarithmic, from 0.1 to 10 000."
    )
    rows = [_fault(text, each) for text, each in there]
    not_proved = said.get("proved") is False
    return [
        tag("h3", "What this would have shown of a fault"),
        figure(table(("planted fault", "at", "times the bound", "", ""), rows), caption),
        tag("p", f"The same whatever the input: {alike}.") if alike else None,
        tag("p", f"NOT PROVED: {ADVICE}.", class_="bad") if not_proved else None,
    ]


def _fault(called: str, seen: Mapping[str, Any]) -> tuple[Child, ...]:
    found = number(seen.get("units"))
    units = math.inf if found is None else found  # JSON has no infinity
    share = math.log10(units * 10) / _DECADES if units > 0.1 else 0.0
    return (
        wrapped(called),
        name(str(seen.get("where") or "")),
        "more than a bound of 0" if math.isinf(units) else times(units),
        bar(share, units <= 1),
        "seen" if units > 1 else tag("span", "not seen", class_="bad"),
    )
