"""A configuration that was saved as text: JSON, Python or YAML, whichever it is."""

from __future__ import annotations

from simam_deploy.core.document import parse_json, parse_yaml
from simam_deploy.source.stated.python_text import read_python

LARGEST = 1 << 18
"""Characters; a configuration of mmdetection has 20,000, one with LVIS's names 100,000."""
_LARGEST_YAML = 1 << 16
"""Characters, which take up to 0.6 s; FAIR's configurations have 10,000."""


def read_text(text: str) -> object:
    """Read what a text holds, without running anything.

    Returns:
        A dict, a list or a literal; None where the text is none of the three kinds, or too large.
        What stands in YAML is texts.
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
    found = read_python(text)
    return _read_yaml(text) if found is None else found


def _read_yaml(text: str) -> object:
    """Read YAML into texts, lists and dicts."""
    try:
        found = parse_yaml(text, _LARGEST_YAML)
    except ValueError:
        return None
    return found if isinstance(found, (dict, list)) else None  # any words are a scalar of YAML
