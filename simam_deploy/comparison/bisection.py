"""What a half candidate must keep in float32, and the conversion that keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from simam_deploy import manifest
from simam_deploy.bisect import bisect, convert
from simam_deploy.comparison_report import Bisection
from simam_deploy.graph.precision import rounded
from simam_deploy.graph.write import write_model
from simam_deploy.pair import Pair
from simam_deploy.runtime.graph_runner import run_graph
from simam_deploy.staging import explained, publish, staging_folder
from simam_deploy.validate import CONVERTED, Recording, compare


def bisect_candidate(
    pair: Pair, recording: Recording, output: Path | None, progress: Callable[[str], None]
) -> Bisection:
    """Find what must stay in float32, and write the conversion that keeps it.

    Raises:
        InputError: The reference's graph cannot be converted, or `output` not be written.
    """
    dtype, precision = pair.candidate.dtype, pair.candidate.precision

    def passes(model: ir.Model) -> bool:
        with run_graph(rounded(model)) as runner:
            return compare(recording, runner, precision, CONVERTED).passed

    found = bisect(pair.original, dtype, passes, progress)
    if output is None or found.reason:
        return found
    _write(pair, found, output)
    return replace(found, written=str(output))


def _write(pair: Pair, found: Bisection, output: Path) -> None:
    """Write a conversion with its manifest."""
    converted = convert(pair.original(), pair.candidate.dtype, found.kept)
    facts = {
        **pair.subject.facts,
        "precision": pair.candidate.precision,
        "kept_in_float32": list(found.kept),
        "opset": converted.opset_imports[""],
    }
    with staging_folder(output) as stage:
        file = stage / output.name
        with explained(output):
            write_model(converted, file)
            manifest.seal(file, facts)
            publish(stage, output)
