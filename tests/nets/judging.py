"""What a report says, read from its JSON alone, so that any judge can be measured."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simam_deploy import NetworkOptions, SimamError, validate_models

ADMISSION = "not proved"
"""The words of a report whose bound is above what it should tell."""


SHORT = 160


def short(words: object) -> str:
    """Give the beginning of a failure, without the place of its report."""
    return str(words).partition("; all figures")[0][:SHORT]


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
    power = _find(document, "power")
    return Verdict(
        caught=_caught(document),
        said=said[0] if said else "",
        power="" if power is None else json.dumps(power),
        admitted=ADMISSION in text or _find(document, "proved") is False,
        allowed=_find(document, "allowed"),
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


def _find(document: Any, key: str) -> Any:
    """Give the first value under a key at any depth, None where there is none."""
    if isinstance(document, Mapping):
        if key in document:
            return document[key]
        document = list(document.values())
    if not isinstance(document, list):
        return None
    found = (_find(each, key) for each in document)
    return next((value for value in found if value is not None), None)
