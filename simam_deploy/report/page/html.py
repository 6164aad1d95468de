"""HTML that is escaped where it is made: whatever is not markup already is text.

What files call their nodes, classes and themselves reaches a page through here alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

from simam_deploy.report.terminal import one_line

_LONG = 32
"""Letters of what stays on one line in a table."""

Child = str | Markup | None | Iterable["Child"]
"""Markup stays, a text is escaped, None is nothing; or several of them."""

_OF_HTML = ("meta", "img", "br")
_VOID = (*_OF_HTML, "line", "rect", "path", "image", "use")
"""HTML's elements without content, and those of SVG that are drawn here without any."""


def text(value: object) -> Markup:
    """Show a text as it is: no markup, and nothing that turns the direction of writing."""
    return escape(one_line(str(value)))


def tag(name: str, /, *children: Child, **attributes: object) -> Markup:
    """Make an element.

    Args:
        name: Its own.
        children: What is in it.
        attributes: By name, without the underscore that ends those which are Python's words
            (`class_`), and with a dash for each other one; None leaves one out.
    """
    said = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), text(value))
        for key, value in attributes.items()
        if value is not None
    )
    head = Markup("<{}{}>").format(name, said)
    if name in _VOID and not children:
        return head if name in _OF_HTML else head[:-1] + Markup("/>")
    return head + joined(children) + Markup("</{}>").format(name)


def joined(children: Iterable[Child]) -> Markup:
    """Put children one behind the other."""
    return Markup("").join(map(_shown, children))


def _shown(child: Child) -> Markup:
    if child is None:
        return Markup("")
    if isinstance(child, Markup):
        return child
    return text(child) if isinstance(child, str) else joined(child)


def table(head: Iterable[Child], rows: Iterable[Iterable[Child]]) -> Markup:
    """Make a table with a row of headings, which scrolls by itself where it is too wide."""
    body = (tag("tr", (tag("td", cell) for cell in row)) for row in rows)
    heads = tag("thead", tag("tr", (tag("th", cell, scope="col") for cell in head)))
    return tag("div", tag("table", heads, tag("tbody", body)), class_="wide")


def pairs(facts: Iterable[tuple[str, Child]]) -> Markup:
    """Make a table of names and values."""
    rows = (tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in facts)
    return tag("table", tag("tbody", rows), class_="pairs")


def name(of: str) -> Markup:
    """Show what a file calls something; a long name may be broken anywhere."""
    return tag("span", of, class_="mono long" if len(of) > _LONG else "mono")


def wrapped(of: str) -> Markup:
    """Show a text in a table's cell that may take several lines; all others take one."""
    return tag("span", of, class_="text" if len(of) > _LONG else None)


def figure(content: Child, caption: Child, class_: str | None = None) -> Markup:
    """Make a figure, with a caption that says what is seen."""
    return tag("figure", content, tag("figcaption", caption), class_=class_)


def section(anchor: str, title: str, *children: Child) -> Markup:
    """Make a section."""
    return tag("section", tag("h2", title), *children, id=anchor)
