"""What `simam doctor` prints."""

from __future__ import annotations

import textwrap

from simam_deploy.pipeline.doctor import Diagnosis, Finding

_WIDTH = 100


def doctor_table(diagnosis: Diagnosis) -> str:
    """List the findings, marked `ok` or `--`, with the advice under what is not."""
    width = max(len(f.topic) for f in diagnosis.findings)
    return "\n".join(line for f in diagnosis.findings for line in _lines(f, width))


def _lines(finding: Finding, width: int) -> list[str]:
    mark = "ok" if finding.fine else "--"
    gap = " " * (width + 6)
    text = [finding.found, *([finding.advice] if finding.advice else [])]
    lines = [line for part in text for line in textwrap.wrap(part, _WIDTH - len(gap))]
    return [f"{mark}  {finding.topic:{width}}  {lines[0]}", *(gap + line for line in lines[1:])]
