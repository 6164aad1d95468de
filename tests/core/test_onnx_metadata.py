import json

import pytest

from simam_deploy.core.facts import FACTS
from simam_deploy.core.onnx_metadata import as_metadata, split_metadata, stated_facts
from tests.core.wrong import wrong_for

FACTS_OF_AN_EXPORT = {
    "arch": "12",
    "e_lambda": 1e-4,
    "simam_sites": [{"name": "s", "shape": ["batch", 8], "e_lambda": 1e-4}],
    "classes": ["a", "b"],
    "preprocessing": {"kind": "image", "resize": 32},
    "opset": 18,
}


def test_what_was_stated_is_read():
    """A text that looks like a number stays one."""
    assert stated_facts(as_metadata(FACTS_OF_AN_EXPORT)) == FACTS_OF_AN_EXPORT


@pytest.mark.parametrize("key", FACTS)
def test_what_is_of_a_wrong_type_counts_as_not_said(key):
    others = as_metadata({k: v for k, v in FACTS_OF_AN_EXPORT.items() if k != key})
    expected = stated_facts(others)
    for value in wrong_for(key):
        if not isinstance(value, str) and FACTS[key].holds(json.dumps(value)):
            continue  # any text is a text
        assert stated_facts({**others, f"simam.{key}": json.dumps(value)}) == expected


@pytest.mark.parametrize("text", ["", "{", "NaN", "1e999", "[" * 100_000, "9" * 5000])
def test_what_is_no_json(text):
    assert stated_facts({"simam.simam_sites": text, "simam.e_lambda": text}) == {}
    assert split_metadata({"simam.e_lambda": text}) == ({"e_lambda": text}, {})


def test_ours_and_others_are_told_apart():
    metadata = {"simam.e_lambda": "0.1", "simam.arch": "r", "author": "me"}
    assert split_metadata(metadata) == ({"e_lambda": 0.1, "arch": "r"}, {"author": "me"})
