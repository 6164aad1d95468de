"""What a half candidate must keep in float32, and the conversion that keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

from simam_deploy.core.progress import Progress
from simam_deploy.core.staging import explained, publish, staging_folder
from simam_deploy.graph.file.seal import seal
from simam_deploy.graph.file.write import write_model
from simam_deploy.verify.bisect import bisect, convert
from simam_deploy.verify.judge import behaviour_of, looked_into, run_cases_of
from simam_deploy.verify.outputs import Recording, compare
from simam_deploy.verify.pair import Pair
from simam_deploy.verify.report import Bisection
from simam_deploy.verify.rule import rule_for


def bisect_candidate(
    pair: Pair,
    facts: Mapping[str, Any],
    recording: Recording,
    output: Path | None,
    progress: Progress,
) -> Bisection:
    """Find what must stay in float32, and write the conversion that keeps it.

    Raises:
        InputError: The reference's graph cannot be converted, or `output` not be written.
    """
    dtype = pair.candidate.dtype
    rule = rule_for("fp32", pair.candidate.precision)
    graph = run_cases_of(looked_into(pair.original), recording)
    behaviour = behaviour_of(looked_into(pair.original), graph, "fp32", pair.candidate.precision)

    def passes(model: ir.Model) -> bool:
        got = run_cases_of(model, recording)
        return compare(recording, rule, behaviour, got, "").passed

    found = bisect(pair.original.plain, dtype, passes, progress)
    if output is None or found.reason:
        return found
    _write(pair, facts, found, output)
    return replace(found, written=str(output))


def _write(pair: Pair, facts: Mapping[str, Any], found: Bisection, output: Path) -> None:
    """Write a conversion with its manifest."""
    converted = convert(pair.original.plain(), pair.candidate.dtype, found.kept)
    facts = {
        **facts,
        "precision": pair.candidate.precision,
        "kept_in_float32": list(found.kept),
        "opset": converted.opset_imports[""],
    }
    with staging_folder(output) as stage:
        file = stage / output.name
        with explained(output):
            write_model(converted, file)
            seal(file, facts)
            publish(stage, output)
