"""A configuration that was saved as text: JSON, Python, YAML or a command line."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from simam_deploy.core.document import parse_json, parse_yaml
from simam_deploy.source.stated.python_text import read_python

LARGEST = 1 << 18
"""Characters; a configuration of mmdetection has 20,000, one with LVIS's names 100,000."""
_LARGEST_YAML = 1 << 16
"""Characters, which take up to 0.6 s; FAIR's configurations have 10,000."""


def read_text(text: str) -> object:
    """Read what a text holds, without running anything.

    Returns:
        A dict, a list or a literal; None where the text is of no such kind, or too large. What
        stands in YAML or a command line is texts.
    """
    if len(text) > LARGEST:
        return None
    text = text.removeprefix("\ufeff")
    if text.lstrip()[:1] in ("{", "["):
        try:
            return parse_json(text, LARGEST)
        except ValueError:
            pass  # `str` of a dict looks much the same
    # A line of YAML, "lr: 0.1", is Python too: an annotation, which assigns nothing.
    for read in (read_python, _read_yaml, _read_command):
        if (found := read(text)) is not None:
            return found
    return None


def _read_yaml(text: str) -> object:
    """Read YAML into texts, lists and dicts."""
    try:
        found = parse_yaml(text, _LARGEST_YAML)
    except ValueError:
        return None
    return found if isinstance(found, (dict, list)) else None  # any words are a scalar of YAML


def _read_command(text: str) -> dict[str, object] | None:
    """Read a script's own command line, as "train.py --e-lambda 0.1 --cos"."""
    if len(text) > _LARGEST_YAML or "--" not in text:
        return None
    try:
        return read_flags(shlex.split(text))
    except ValueError:  # a quotation that does not end
        return None


def read_flags(words: Sequence[str]) -> dict[str, object]:
    """Read a command line's flags: by name the word behind, True where another flag is."""
    flags: dict[str, object] = {}
    for word, behind in zip(words, [*words[1:], "--"], strict=True):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            follows = True if behind.startswith("--") else behind
            flags[name.replace("-", "_")] = value if equals else follows
    return flags
