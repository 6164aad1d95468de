"""The facts that an .onnx carries in itself: `simam.*` in its metadata_props."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

METADATA_PREFIX = "simam."
"""Of the facts that an export puts into a model's metadata_props."""


def as_metadata(facts: Mapping[str, Any]) -> dict[str, str]:
    """Flatten facts to ONNX metadata_props: `simam.<key>`, JSON except for plain strings."""
    return {
        f"{METADATA_PREFIX}{key}": value
        if isinstance(value, str)
        else json.dumps(value, sort_keys=True)
        for key, value in facts.items()
    }


def stated_preprocessing(metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """Read how an .onnx says that its input is made; None where it says nothing usable."""
    try:
        facts = json.loads(metadata[f"{METADATA_PREFIX}preprocessing"])
    except (KeyError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None
