"""The documents, and what they link to."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import figures
from markdown_it import MarkdownIt

ROOT = figures.ROOT
DOCUMENTS = figures.documents()
_PARSER = MarkdownIt("gfm-like", {"linkify": False})


def links(document: Path) -> Iterator[tuple[str, str]]:
    """Give what a document links to and shows, as file and anchor, which may be empty."""
    for token in _PARSER.parse(document.read_text("utf-8")):
        for child in token.children or []:
            target = child.attrGet("href") or child.attrGet("src")
            if target and not re.match(r"https?:", str(target)):
                file, _, anchor = str(target).partition("#")
                yield file, anchor


def dead_links(document: Path) -> list[str]:
    """Give the links that lead nowhere: to no file, or to no heading of it."""
    dead = []
    for file, anchor in links(document):
        target = document.parent / file if file else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(
                f"{document.name}: {file}#{anchor}" if anchor else f"{document.name}: {file}"
            )
    return dead


def anchors(document: Path) -> set[str]:
    """Name the headings as GitHub links to them."""
    tokens = _PARSER.parse(document.read_text("utf-8"))
    headings = [
        inner.content for token, inner in itertools.pairwise(tokens) if token.type == "heading_open"
    ]
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def on_the_site() -> set[Path]:
    """Give the documents that the site's index leads to."""
    index = ROOT / "docs" / "index.md"
    named = re.findall(r"^(/?[\w./*-]+)$", index.read_text("utf-8"), re.MULTILINE)
    places = [name[1:] if name.startswith("/") else f"docs/{name}" for name in named]
    return {path for place in places for path in ROOT.glob(f"{place}.md")}
