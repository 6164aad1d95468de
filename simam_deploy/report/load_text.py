"""What `simam load` prints."""

from __future__ import annotations

from simam_deploy.report.terminal import one_line
from simam_deploy.serve.load.report import LoadReport


def load_table(report: LoadReport) -> str:
    """Lay the report out in lines of at most 100 characters."""
    rows = [
        ("model", f"{report.model} at {report.target}"),
        ("load", _load(report)),
        ("answered", f"{report.answered:,} in {report.seconds:.1f} s"),
        ("goodput", _goodput(report)),
        ("latency", _latency(report)),
        *(("errors", _error(report, status)) for status in report.errors),
    ]
    if report.unsent:
        rows.append(("unsent", f"{report.unsent:,} were due and no connection was free"))
    if report.client_bound:
        used = f"{report.client_cpu:.0%} of a core: this program may have been the limit"
        rows.append(("client", used))
    if report.interrupted:
        rows.append(("note", "interrupted: this is what was measured until then"))
    return "\n".join(f"{name:10}{one_line(text)}"[:100] for name, text in rows)


def _load(report: LoadReport) -> str:
    plan = report.plan
    items = f"batch {plan.batch}, seed {plan.seed}"
    if plan.rate is None:
        return f"closed loop, {plan.clients} clients, {items}"
    return f"open loop, {plan.rate:g} requests/s over {plan.clients} connections, {items}"


def _goodput(report: LoadReport) -> str:
    items = f", {report.goodput * report.plan.batch:,.1f} items/s" if report.plan.batch > 1 else ""
    return f"{report.goodput:,.1f} requests/s{items}"


def _latency(report: LoadReport) -> str:
    if not report.latency_ms:
        return "none: nothing was answered"
    return "  ".join(f"{name} {value:.2f}" for name, value in report.latency_ms.items()) + "  ms"


def _error(report: LoadReport, status: str) -> str:
    message = " ".join(report.messages[status].split())
    return f"{report.errors[status]:,} x {status}{': ' * bool(message)}{message}"
