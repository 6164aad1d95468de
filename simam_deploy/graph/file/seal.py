"""Put the facts of an export where readers look for them: into the .onnx, and beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simam_deploy.core.files import parts
from simam_deploy.core.manifest import tool_versions, write_manifest
from simam_deploy.core.onnx_metadata import as_metadata


def seal(artifact: Path, facts: Mapping[str, Any]) -> None:
    """Put the facts, with the tools' versions, into a written .onnx and into its manifest.

    Raises:
        OSError: The disk is full or the folder cannot be written to.
    """
    from simam_deploy.graph.file.write import append_metadata

    facts = {**facts, "tools": tool_versions()}
    append_metadata(artifact, as_metadata(facts))
    write_manifest(artifact, parts(artifact), facts)
