"""The page of `simam-validate --plot`: every site's gates, and what failed."""

from __future__ import annotations

from simam_deploy.core.specs import QUANTISED
from simam_deploy.report.page.document import document
from simam_deploy.report.page.gate_rows import gate_rows
from simam_deploy.report.page.html import figure, tag
from simam_deploy.verify.report import ComparisonReport


def gate_plot(report: ComparisonReport) -> str:
    """Draw a report's gates.

    Returns:
        The document, UTF-8.
    """
    title = f"{report.candidate.file} against {report.reference.file}"
    verdict = "passed" if report.passed else "FAILED"
    failed = sum(not check.passed for check in report.gates)
    precision = report.candidate.precision
    unit = "fp32" if precision in QUANTISED else precision
    caption = (
        f"{len(report.gates)} SimAM sites, {failed} failed; errors in units in the last place of "
        f"{unit}"
    )
    return document(
        title,
        tag("header", tag("h1", f"{title}: {verdict}"), class_="top"),
        tag(
            "main",
            (tag("p", failure, class_="bad") for failure in report.failures),
            tag("section", figure(tag("div", gate_rows(report.gates), class_="wide"), caption)),
        ),
    )
