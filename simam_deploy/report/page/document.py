"""One HTML document: self-contained, nothing from elsewhere, readable in light, dark and print."""

from __future__ import annotations

from importlib import resources

from markupsafe import Markup

from simam_deploy.core.version import __version__
from simam_deploy.report.page.html import Child, joined, tag

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""A browser then fetches nothing and runs nothing, whatever a page were to hold."""


def document(title: str, *body: Child) -> str:
    """Make a document.

    Returns:
        It, to be written as UTF-8.
    """
    style = resources.files(__package__ or "").joinpath("style.css").read_text("utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="generator", content=f"simam-deploy {__version__}"),
        tag("title", title),
        tag("style", Markup(style)),  # noqa: S704 - our own file
    )
    page = tag("html", head, tag("body", joined(body)), lang="en")
    return f"<!doctype html>\n{page}\n"
