"""What lies beside an artifact and is of the same network: other precisions of it, plans."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simam_deploy.core.artifacts import Manifest
from simam_deploy.core.files import PLANS
from simam_deploy.core.manifest import find_manifest
from simam_deploy.errors import InputError

MOST = 64
"""Manifests that are looked at, the first by name: a folder may hold thousands."""


def files_beside(artifact: Path, facts: Manifest) -> tuple[Path, ...]:
    """List the .onnx files and plans beside an artifact that were made of the same source.

    Args:
        artifact: The .onnx or plan.
        facts: Its manifest; without one nothing is known to be of its network.

    Returns:
        One .onnx for each other precision, and every plan, by name. A file whose manifest cannot
        be used is left out.
    """
    source = _source(facts)
    if source is None:
        return ()
    found: list[Path] = []
    precisions = {facts.get("precision")}
    for path, other in _artifacts(artifact):
        if _source(other) != source:
            continue
        if path.suffix in PLANS:
            found.append(path)
        elif other.get("precision") not in precisions:
            precisions.add(other.get("precision"))
            found.append(path)
    return tuple(found)


def _artifacts(artifact: Path) -> Iterator[tuple[Path, Manifest]]:
    names = sorted(artifact.parent.iterdir())
    artifacts = [path for path in names if path.suffix in (".onnx", *PLANS) and path != artifact]
    for path in artifacts[:MOST]:
        try:
            facts = find_manifest(path)
        except InputError:
            continue
        if facts is not None:
            yield path, facts


def _source(facts: Manifest) -> Any:
    """Give the hash of what an artifact was made of, None where its manifest states none."""
    said = facts.get("source")
    return said.get("sha256") if isinstance(said, dict) else None
