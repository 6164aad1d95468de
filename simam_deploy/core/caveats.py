"""What whoever takes an artifact must be told of its validation: one wording for all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def caveats(facts: Mapping[str, Any]) -> Iterator[str]:
    """Word what a manifest, or an .onnx's own metadata, says against its artifact.

    Args:
        facts: The manifest's; read of "contradictions", "validation", and of a plan
            "onnx_validation".
    """
    yield from facts.get("contradictions", ())
    for key, what in (("validation", "it"), ("onnx_validation", "the .onnx it was built from")):
        said = facts.get(key)
        if not isinstance(said, Mapping):
            continue
        if said.get("passed") is False:
            yield f"{what} FAILED its validation and was kept all the same"
        elif said.get("proved") is False:
            yield f"{what} is NOT PROVED: what it was compared on could not have shown a fault"
        if said.get("given") is True:
            yield f"{what} was held to a bound that a user gave: {said.get('rule')}"
