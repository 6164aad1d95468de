"""The facts that an .onnx carries in itself: `simam.*` in its metadata_props.

An .onnx may be a stranger's, and its metadata anything: what is not as an export of ours writes it
(`core.facts`) counts as not said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from simam_deploy.core.document import parse_json
from simam_deploy.core.facts import FACTS, is_text

METADATA_PREFIX = "simam."
"""Of the facts that an export puts into a model's metadata_props."""


def as_metadata(facts: Mapping[str, Any]) -> dict[str, str]:
    """Flatten facts to ONNX metadata_props: `simam.<key>`, JSON except for plain strings.

    What of a file's name is not UTF-8, as a message must be, is escaped.
    """
    return {
        f"{METADATA_PREFIX}{key}": value.encode(errors="backslashreplace").decode()
        if isinstance(value, str)
        else json.dumps(value, sort_keys=True)
        for key, value in facts.items()
    }


def split_metadata(metadata: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Part what an export of ours wrote, as values by their names, from what others did.

    Values are as they stand, for people to read: what is no JSON is the text.
    """
    ours = {k: v for k, v in metadata.items() if k.startswith(METADATA_PREFIX)}
    facts = {key.removeprefix(METADATA_PREFIX): _value(text) for key, text in ours.items()}
    return facts, {key: text for key, text in metadata.items() if key not in ours}


def stated_facts(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Read what an .onnx says of itself; leaves out what is not of its type."""
    stated = {key: metadata.get(f"{METADATA_PREFIX}{key}") for key in FACTS}
    facts = {
        key: text if is_text(FACTS[key]) else _value(text)
        for key, text in stated.items()
        if text is not None
    }
    return {key: value for key, value in facts.items() if FACTS[key].holds(value)}


def _value(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return text
