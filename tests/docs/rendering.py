"""What is wrong with a Markdown document as it is rendered: a line for each fault, with its place.

Rendered is what CommonMark and GitHub's tables make of it, by markdown-it: a fence that is not
closed, a table that is none, or a formula that became emphasis is found in the tokens, where its
reader would see it.
"""

import ast
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from markdown_it.rules_block.table import escapedSplit
from markdown_it.token import Token

from tests.readmes import parsed

LANGUAGES = ("console", "python", "sh", "{eval-rst}")
"""A fence without one is what is left where an opening or closing line is missing."""
_MARKDOWN = re.compile(r"^#{1,6} \S|\]\(\S|^\s*(?:```|~~~)|^- \*\*", re.MULTILINE)
"""What stands in prose, and never in what a machine prints."""
_CODE = re.compile(r"[=^_/\\|]|\w\(|\d$")
"""What no emphasised words have in them, and formulas and names do."""
_BESIDE = re.compile(r"[\s.,;:()\"'-]?")
_COMMENTS = re.compile(r"(?:<!--(?:(?!-->).)*-->\s*)+", re.DOTALL)
_LEFT = re.compile(
    r"""(?x)
      (?:^|\n)\s*(?:\$[ ]|```|\|.*\||[|:-][\s|:]*-{3,}[\s|:-]*(?:\n|$))  # command, fence, table
    | (?<![\w-])--\w[\w-]*                          # an option: its dashes would become one
    | (?:^|\n)(?:simam|python|pip|curl)[\w-]*[ ]\S*[./]\w\S*  # a command without its $
    | \][ ]?[(\[] | \]:[ ]?http                      # a link
    | \*|(?<!\w)__?(?=\w)|(?<=\w)__?(?!\w)           # what was to be emphasis, or code
    """
)
"""What has no place in words: markup that was not taken for it, or code outside of backticks."""


def complaints(document: Path) -> list[str]:
    """Say what is wrong with a document."""
    return [f"{document.name}:{line}: {what}" for line, what in wrong(document.read_text("utf-8"))]


def wrong(text: str) -> Iterator[tuple[int, str]]:
    """Give what is wrong with a text: the line's number, and what."""
    lines = text.splitlines()
    tokens = parsed(text)
    for token, after in itertools.pairwise([*tokens, Token("end", "", 0)]):
        begin, end = token.map or (0, 0)
        for what in _faults(token, lines[begin:end], after):
            yield begin + 1, what
    yield from _of_headings(tokens)


def _faults(token: Token, lines: list[str], after: Token) -> Iterator[str]:
    """Give what is wrong with a token, whose source is given."""
    if token.type == "fence":
        yield from _of_fence(token, lines)
    elif token.type == "code_block":
        yield from _of_indented(token.content)
    elif token.type == "html_block":
        yield from _of_html(token.content)
        if "not run" in token.content and after.type != "fence":
            yield "not run, and no fence below it"
    elif token.type == "table_open":
        yield from _of_table(lines)
    elif token.type == "inline":
        yield from _of_words(token.children)


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


def _of_indented(content: str) -> Iterator[str]:
    """Refuse commands in a block that says no language, which nobody would run."""
    if found := re.search(r"^\s*(?:\$ |simam-|python |scripts/).*", content, re.MULTILINE):
        yield f"a command in an indented block: {found[0].strip()!r}"


def _of_html(content: str) -> Iterator[str]:
    """Allow comments alone: marks of figures, and reasons why a fence is not run.

    A line that begins with a comment is HTML to its end, within a paragraph too.
    """
    if not _COMMENTS.fullmatch(content):
        yield f"eaten as HTML: {_COMMENTS.sub('', content).strip()!r}"
    if re.search(r"<!--\s*not.?run\W*-->", content, re.IGNORECASE):
        yield "not run, and no reason why"
    elif re.match(r"<!--\s*not.?run", content, re.IGNORECASE) and "<!-- not run: " not in content:
        yield "not run, in other words than `<!-- not run: REASON -->`"


def _of_table(lines: list[str]) -> Iterator[str]:
    wanted = _cells(lines[0])
    for number, line in enumerate(lines):
        if _cells(line) != wanted:
            yield f"row {number} of a table has {_cells(line)} cells, its head {wanted}"


def _cells(line: str) -> int:
    """Count cells as the parser does, which drops and fills up without a word."""
    return len(escapedSplit(line.strip().removeprefix("|").removesuffix("|")))


def _of_words(children: Sequence[Token]) -> Iterator[str]:
    for number, child in enumerate(children):
        if child.type == "html_inline":
            yield from _of_html(child.content)
        if child.type in ("em_open", "strong_open"):
            yield from _of_emphasis(children, number)
        if child.type == "image" and not child.content:
            yield f"a picture without words: {child.attrGet('src')}"
    words = "".join(_word(child) for child in children)
    if found := _LEFT.search(words):
        yield f"left as text: {found[0].strip()!r}"


def _of_emphasis(children: Sequence[Token], number: int) -> Iterator[str]:
    """Complain of emphasis that begins or ends within a word, or is of what looks like code.

    Emphasis is written with stars here: what underlines made of it was a name.
    """
    kind = children[number].type.removesuffix("_open")
    end = next(i for i in range(number, len(children)) if children[i].type == f"{kind}_close")
    within = "".join(_word(child) for child in children[number + 1 : end])
    before = _word(children[number - 1])[-1:] if number else ""
    after = _word(children[end + 1])[:1] if end + 1 < len(children) else ""
    plain = _BESIDE.fullmatch(before) and _BESIDE.fullmatch(after)
    if "_" in children[number].markup or _CODE.search(within) or not plain:
        yield f"eaten as emphasis: {before}{within}{after}"


def _word(child: Token) -> str:
    """Give a child as text; code, and a character that is escaped, are what they are."""
    if child.type in ("softbreak", "hardbreak"):
        return "\n"
    return child.content if child.type == "text" else "\0" if child.type == "code_inline" else ""


def _of_headings(tokens: Sequence[Token]) -> Iterator[tuple[int, str]]:
    """Want one title, no level left out, and names that links tell apart."""
    found = [
        (token.map[0] + 1, int(token.tag[1]), inner.content)
        for token, inner in itertools.pairwise(tokens)
        if token.type == "heading_open"
    ]
    for heading, times in Counter(heading for _, _, heading in found).items():
        if times > 1:
            yield 1, f"{times} headings are called {heading!r}"
    if [level for _, level, _ in found].count(1) != 1 or found[0][1] != 1:
        yield 1, "a page begins with its one title"
    for (_, above, _), (line, level, heading) in itertools.pairwise(found):
        if level > above + 1:
            yield line, f"{heading!r} is of level {level}, under one of {above}"
