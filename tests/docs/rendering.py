"""What is wrong with a Markdown document as it is rendered: a line for each fault, with its place.

Rendered is what CommonMark and GitHub's tables make of it, by markdown-it: a fence that is not
closed, a table that is none, or a formula that became emphasis is found in the tokens, where its
reader would see it.
"""

import ast
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

LANGUAGES = ("console", "python", "sh", "{toctree}", "{eval-rst}")
"""A fence without one is what is left where an opening or closing line is missing."""
_MARKDOWN = re.compile(r"^#{1,6} \S|\]\(\S|^```|^- \*\*", re.MULTILINE)
"""What stands in prose, and never in what a machine prints."""
_CODE = re.compile(r"[=^_/\\|]|\w\(|\d$")
"""What no emphasised words have in them, and formulas and names do."""
_BESIDE = re.compile(r"[\s.,;:()\"'-]?")
_SCRIPTS = re.compile(r"(?:^|\n)\s*(?:\$ |```|\|[^|\n]+\|)")


def complaints(document: Path) -> list[str]:
    """Say what is wrong with a document."""
    return [f"{document.name}:{line}: {what}" for line, what in wrong(document.read_text("utf-8"))]


def wrong(text: str) -> Iterator[tuple[int, str]]:
    """Give what is wrong with a text: the line's number, and what."""
    lines = text.splitlines()
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    for token in tokens:
        begin, end = token.map or (0, 0)
        for what in _faults(token, lines[begin:end]):
            yield begin + 1, what
    for heading, times in Counter(_headings(tokens)).items():
        if times > 1:
            yield 1, f"{times} headings are called {heading!r}"


def _faults(token: Token, lines: list[str]) -> Iterator[str]:
    """Give what is wrong with a token, whose source is given."""
    if token.type == "fence":
        yield from _of_fence(token, lines)
    elif token.type == "html_block":
        yield from _of_html(token.content)
    elif token.type == "table_open":
        yield from _of_table(lines)
    elif token.type == "inline":
        yield from _of_words(token)


def _of_fence(token: Token, lines: list[str]) -> Iterator[str]:
    language = token.info.strip()
    if len(lines) < 2 or lines[-1].strip() != token.markup:
        yield "a fence is not closed"
    if language not in LANGUAGES:
        yield f"a fence of no known language: {language!r}"
    if found := _MARKDOWN.search(token.content):
        yield f"prose stands in a fence: {found[0]!r}"
    if language == "console" and not token.content.startswith("$ "):
        yield "a console's fence does not begin with a command"
    if language == "python":
        yield from _of_program(token.content)


def _of_program(content: str) -> Iterator[str]:
    try:
        ast.parse(content)
    except SyntaxError as error:
        yield f"this is no Python: {error}"


def _of_html(content: str) -> Iterator[str]:
    """Allow comments alone: marks of figures, and reasons why a fence is not run."""
    rest = re.sub(r"<!--.*?-->", "", content, flags=re.DOTALL).strip()
    if found := re.search(r"<[^>]*>?", rest):
        yield f"eaten as HTML: {found[0]!r}"
    if re.search(r"<!-- *not run *:? *-->", content):
        yield "not run, and no reason why"


def _of_table(lines: list[str]) -> Iterator[str]:
    wanted = _cells(lines[0])
    for number, line in enumerate(lines):
        if _cells(line) != wanted:
            yield f"row {number} of a table has {_cells(line)} cells, its head {wanted}"


def _cells(line: str) -> int:
    """Count cells: a `|` ends one but where it is escaped."""
    return len(re.findall(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))) + 1


def _of_words(token: Token) -> Iterator[str]:
    children = token.children or []
    for number, child in enumerate(children):
        if child.type == "html_inline":
            yield from _of_html(child.content)
        if child.type in ("em_open", "strong_open"):
            yield from _of_emphasis(children, number)
    words = "".join(_word(child) for child in children)
    if found := _SCRIPTS.search(words):
        yield f"left as text: {found[0].strip()!r}"


def _of_emphasis(children: list[Token], number: int) -> Iterator[str]:
    """Complain of emphasis that begins or ends within a word, or is of what looks like code.

    Emphasis is written with stars here: what underlines made of it was a name.
    """
    kind = children[number].type.removesuffix("_open")
    end = next(i for i in range(number, len(children)) if children[i].type == f"{kind}_close")
    within = "".join(_word(child) for child in children[number + 1 : end])
    before = _word(children[number - 1])[-1:] if number else ""
    after = _word(children[end + 1])[:1] if end + 1 < len(children) else ""
    if (
        "_" in children[number].markup
        or _CODE.search(within)
        or not (_BESIDE.fullmatch(before) and _BESIDE.fullmatch(after))
    ):
        yield f"eaten as emphasis: {before}{within}{after}"


def _word(child: Token) -> str:
    """Give a child as text; code is what it is, and hides nothing."""
    if child.type in ("softbreak", "hardbreak"):
        return "\n"
    return child.content if child.type == "text" else ""


def _headings(tokens: list[Token]) -> Iterator[str]:
    for token, inner in itertools.pairwise(tokens):
        if token.type == "heading_open":
            yield inner.content
