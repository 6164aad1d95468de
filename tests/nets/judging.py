"""What a report says, read from its JSON alone, so that any judge can be measured."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simam_deploy import NetworkOptions, SimamError, validate_models

ADMISSION = "not proved"
"""The words of a report whose bound is above what it should tell."""


SHORT = 160


def without_place(words: object) -> str:
    """Give a failure without the place of its report."""
    return str(words).partition("; all figures")[0]


def short(words: object) -> str:
    """Give the beginning of it."""
    return without_place(words)[:SHORT]


@dataclass(frozen=True)
class Verdict:
    """What became of one comparison.

    Attributes:
        caught: By what: "gates", "layers", "outputs", joined by +, or "refused"; empty where
            nothing failed.
        said: The first failure, or the error.
        power: What the report says of its power, as JSON; empty where it says nothing.
        admitted: Whether it calls anything not proved.
        allowed: The bound on the worst output.
    """

    caught: str
    said: str = ""
    power: str = ""
    admitted: bool = False
    allowed: float | None = None

    @property
    def silent(self) -> bool:
        """True where all passed and was called proved."""
        return not self.caught and not self.admitted


def judge(reference: Path, candidate: Path, network: NetworkOptions | None = None) -> Verdict:
    """Validate a candidate."""
    try:
        report = validate_models(reference, candidate, network)
    except SimamError as error:
        return Verdict("refused", str(error))
    return read(report.to_json())


def read(document: Mapping[str, Any]) -> Verdict:
    """Read a report of `simam validate --json`."""
    said = document["failures"]
    text = json.dumps(document).lower()
    power = [json.dumps(value) for value in _values(document, "power")]
    bounds = [value for value in _values(document, "allowed") if value is not None]
    return Verdict(
        caught=_caught(document),
        said=said[0] if said else "",
        power=power[0] if power else "",
        admitted=ADMISSION in text or any(v is False for v in _values(document, "proved")),
        allowed=bounds[0] if bounds else None,
    )


def _caught(document: Mapping[str, Any]) -> str:
    if document["passed"]:
        return ""
    outputs = document.get("validation", {}).get("results", [])
    kinds = {"gates": document.get("gates"), "layers": document.get("layers"), "outputs": outputs}
    failed = [kind for kind, checks in kinds.items() if not _all_passed(checks)]
    return "+".join(failed) or "failed"


def _all_passed(checks: list[Mapping[str, Any]] | None) -> bool:
    return all(check.get("passed", True) for check in checks or ())


def _values(document: Any, key: str) -> Iterator[Any]:
    """Give every value under a key, at any depth, in the order of the document."""
    parts = document if isinstance(document, list) else []
    if isinstance(document, Mapping):
        if key in document:
            yield document[key]
        parts = list(document.values())
    for part in parts:
        yield from _values(part, key)
