"""The sections that show the manifest as it stands, and how the page is made again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from simam_deploy.core.onnx_metadata import split_metadata
from simam_deploy.pipeline.gathered import Gathered
from simam_deploy.report.page.html import Child, pairs, section, tag

_LONG = 24
"""Entries of a list that are shown."""


def manifest(of: Gathered) -> Markup:
    """Show the manifest, a row a fact."""
    if of.facts:
        return section("manifest", "Manifest", pairs(_rows(of.facts)))
    inspection = of.drawing.inspection if of.drawing else None
    own = split_metadata(inspection.metadata) if inspection else ({}, {})
    said = {**own[0], **own[1]}
    about = "There is no manifest of ours beside this file."
    graph = [] if inspection is None else [
        ("producer", inspection.producer),
        ("opset", str(inspection.opsets.get("", "?"))),
        *(("input", str(spec)) for spec in inspection.inputs),
        *(("output", str(spec)) for spec in inspection.outputs),
    ]  # fmt: skip
    return section("manifest", "Manifest", tag("p", about), pairs([*graph, *_rows(said)]))


def _rows(facts: Mapping[str, Any]) -> Iterator[tuple[str, Child]]:
    for key, value in facts.items():
        yield key.replace("_", " "), _value(value)


def _value(value: Any) -> Child:
    """Show a fact: an object as a table within or, if it is flat, on a line; lists likewise."""
    if isinstance(value, dict):
        flat = not any(isinstance(each, dict) for each in value.values())
        return (_compact(value) if flat else pairs(_rows(value))) if value else "none"
    if isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
        more = len(value) - _LONG
        lines = [tag("div", _compact(each)) for each in value[:_LONG]]
        return [*lines, *([f"and {more} more"] if more > 0 else [])]
    if isinstance(value, list):
        shown = ", ".join(_plain(each) for each in value[:_LONG])
        more = len(value) - _LONG
        return (f"{shown} and {more} more" if more > 0 else shown) or "none"
    return _plain(value)


def _compact(value: Any) -> Child:
    """Show what lies in a list on one line."""
    if not isinstance(value, dict):
        return _plain(value)
    said = ((key.replace("_", " "), _plain(each)) for key, each in value.items() if each != "")
    return ", ".join(f"{key} {text}" for key, text in said)


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list) and all(isinstance(each, (int, str)) for each in value):
        return "\N{MULTIPLICATION SIGN}".join(map(str, value))
    return json.dumps(value)


def reproduce(of: Gathered) -> Markup:
    """Say how to make the artifact, and the page, again."""
    source = of.facts.get("source")
    own = str(source["file"]) if isinstance(source, dict) and "file" in source else None
    parts: list[Child] = [tag("p", "This page:"), tag("pre", of.command)]
    if of.facts.get("command"):
        parts += [tag("p", "The plan:"), tag("pre", str(of.facts["command"]))]
    if own and of.drawing is not None:
        again = f"simam-validate {own} {of.path.name}"
        parts += [
            tag("p", "The comparison with its source, which needs that file:"),
            tag("pre", again),
        ]
    tools = of.facts.get("tools")
    if isinstance(tools, dict):
        made = ", ".join(f"{name} {version}" for name, version in tools.items())
        parts.append(tag("p", f"The artifact was made with {made}.", class_="soft"))
    return section("reproduce", "How to reproduce", parts)
