"""The messages that troubleshooting explains are those that the product has."""

import ast
import functools
import re
from collections.abc import Iterator

import pytest

from tests.docs.documents import ROOT
from tests.readmes import parsed

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")


def messages(text: str) -> Iterator[re.Pattern[str]]:
    """Give each message of the tables' first column: what stands in backticks, `...` between."""
    tokens = parsed(text)
    for row, cell in zip(tokens, tokens[2:], strict=False):
        if row.type == "tr_open" and cell.type == "inline":
            yield from map(_pattern, re.findall(r"`[^`]+`(?: \.\.\. `[^`]+`)*", cell.content))


def _pattern(message: str) -> re.Pattern[str]:
    """Find a message in the source, where a `{name}` of any name is `{}`."""
    parts = re.sub(r"\{\w+\}", "{}", message).strip("`").split("` ... `")
    return re.compile(".*".join(map(re.escape, parts)), re.DOTALL | re.IGNORECASE)


@functools.cache
def said() -> frozenset[str]:
    """Collect what the product says: adjacent literals joined, `{}` for what is filled in."""
    files = (ROOT / "simam_deploy").rglob("*.py")
    return frozenset(text for file in files for text in _texts(ast.parse(file.read_text("utf-8"))))


def _texts(module: ast.Module) -> Iterator[str]:
    docstrings = {node.value for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for node in ast.walk(module):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                "{}" if isinstance(part, ast.FormattedValue) else part.value for part in node.values
            )
        elif isinstance(node, ast.Constant) and node not in docstrings:
            yield str(node.value)


def unsaid(text: str) -> list[str]:
    """Give the messages of a page that nothing says."""
    return [each.pattern for each in messages(text) if not any(map(each.search, said()))]


def test_what_is_explained_is_said():
    assert unsaid(PAGE) == []
    assert len([*messages(PAGE)]) >= PAGE.count("\n| `")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("`two runs of the source", "`several runs of the source"),
        ("`was built by` ... `is installed`", "`was built by` ... `class is named`"),
        ("`names {path}, but there is no`", "`names {path} where there is no`"),
    ],
)
def test_a_message_that_nothing_says_is_found(old, new):
    assert old in PAGE
    assert len(unsaid(PAGE.replace(old, new))) == 1
