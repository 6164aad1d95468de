"""What `simam doctor` prints."""

from __future__ import annotations

from simam_deploy.pipeline.doctor import Diagnosis, Finding
from simam_deploy.report.columns import wrapped
from simam_deploy.report.terminal import room


def doctor_table(diagnosis: Diagnosis) -> str:
    """List the findings, marked `ok` or `--`, with the advice under what is not."""
    width = max(len(f.topic) for f in diagnosis.findings)
    return "\n".join(line for f in diagnosis.findings for line in _lines(f, width))


def _lines(finding: Finding, width: int) -> list[str]:
    mark = "ok" if finding.fine else "--"
    is_wide = room() >= 2 * (width + 6)
    gap = " " * (width + 6 if is_wide else 4)
    text = [finding.found, *([finding.advice] if finding.advice else [])]
    lines = [line for part in text for line in wrapped(part, len(gap))]
    if not is_wide:
        return [f"{mark}  {finding.topic}", *(gap + line for line in lines)]
    return [f"{mark}  {finding.topic:{width}}  {lines[0]}", *(gap + line for line in lines[1:])]
