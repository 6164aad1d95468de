"""The documents, what they link to, and which files of the repository they speak of."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import figures

from tests.readmes import fences, parsed

ROOT = figures.ROOT
DOCUMENTS = figures.documents()
_DEEPEST = 3
"""Of the headings that docs/conf.py has the site link to."""
_MADE = ("scripts/bench/results/gpu",)
"""What is not there before somebody with a GPU makes it."""
_FILES = re.compile(r"(?:docs|examples|plugins|scripts|simam_deploy|tests)/[\w./*-]+")


def links(document: Path) -> Iterator[str]:
    """Give what a document links to and shows."""
    for token in parsed(document.read_text("utf-8")):
        for child in token.children or []:
            if target := child.attrGet("href") or child.attrGet("src"):
                yield str(target)


def dead_links(document: Path) -> list[str]:
    """Give the links that lead nowhere: to no file, to no heading of it, or to no address."""
    return [f"{document.name}: {link}" for link in links(document) if not _leads(document, link)]


def _leads(document: Path, link: str) -> bool:
    parts = urlsplit(link)
    if parts.scheme:
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    target = document.parent / parts.path if parts.path else document
    return target.exists() and (not parts.fragment or parts.fragment in anchors(target))


def anchors(document: Path) -> set[str]:
    """Name the headings as GitHub and the site link to them."""
    headings = [
        "".join(part.content for part in inner.children if part.type != "html_inline")
        for token, inner in itertools.pairwise(parsed(document.read_text("utf-8")))
        if token.type == "heading_open" and int(token.tag[1]) <= _DEEPEST
    ]
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def codes(document: Path) -> list[str]:
    """Give what stands in backticks."""
    tokens = parsed(document.read_text("utf-8"))
    parts = [part for token in tokens for part in token.children or []]
    return [part.content for part in parts if part.type == "code_inline"]


def missing_files(document: Path) -> list[str]:
    """Give the files of the repository that a document speaks of and that are not there."""
    reasons = (fence.not_run or "" for fence in fences(document))
    named = {
        file.rstrip(".") for text in (*codes(document), *reasons) for file in _FILES.findall(text)
    }
    return sorted(file for file in named.difference(_MADE) if not _is_there(document, file))


def _is_there(document: Path, file: str) -> bool:
    """Look for a file, NAME and * in it standing for any, from the root and beside a document."""
    return any(any(start.glob(file.replace("NAME", "*"))) for start in (ROOT, document.parent))


def on_the_site() -> set[Path]:
    """Give the documents that the site's index links to, which is what its sidebar has."""
    index = ROOT / "docs" / "index.md"
    return {(index.parent / urlsplit(link).path).resolve() for link in links(index)}
