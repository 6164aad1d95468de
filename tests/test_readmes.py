"""READMEs: their links lead somewhere, and what holds their commands to their word can refuse."""

import re
from pathlib import Path

import pytest

from tests.readmes import Shown, shown

ROOT = Path(__file__).parent.parent
READMES = sorted(ROOT.glob("examples/*/README.md"))
TEXT = """Words.

```console
$ first --long \\
    option
one
$ second
```
"""
TABLE = """model.onnx
  lambda       0.1 (given)
  validated    3 cases: worst difference 1.1e-06 (allowed 6e-06)
  input        float32 1 x 3
"""


def test_commands_are_read_with_their_lines(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(TEXT)
    assert shown(readme) == [Shown("first --long      option", ("one",)), Shown("second", ())]


@pytest.mark.parametrize(
    "lines",
    [
        ["model.onnx", "...", "  input        float32 1 x 3"],
        [
            "  lambda       0.1 (given)",
            "  validated    4 cases: worst difference 2e-07 (allowed 5e-06)",
        ],
    ],
)
def test_what_was_printed_passes(lines):
    Shown("", tuple(lines)).check(TABLE)


@pytest.mark.parametrize(
    "lines",
    [
        ["  lambda       0.0001 (given)"],
        ["  NOT PROVED   3 cases: worst difference 1.1e-06 (allowed 6e-06)"],
        ["  input        float32 1 x 4"],
        ["  input        float32 1 x 3", "model.onnx"],
        ["model.onnx", "model.onnx"],
    ],
)
def test_what_was_not_is_refused(lines):
    with pytest.raises(AssertionError, match="is not in"):
        Shown("", tuple(lines)).check(TABLE)


@pytest.mark.parametrize("readme", [ROOT / "README.md", *READMES], ids=lambda p: p.parent.name)
def test_links_lead_somewhere(readme):
    """To files that are there, and headings that they have."""
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", readme.read_text(encoding="utf-8")):
        path, _, heading = link.partition("#")
        target = readme.parent / path if path else readme
        assert target.exists(), link
        assert not heading or heading in _anchors(target), link


def _anchors(path):
    """Name the headings as GitHub links to them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
