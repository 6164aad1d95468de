"""The README's Python: what it imports is there, and what it calls takes what it gives."""

import ast
import inspect
from pathlib import Path

import pytest

import simam_deploy
from tests.readmes import blocks

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = [text for text in blocks(README, "python") if "from simam_deploy import" in text]


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_calls_what_there_is(example):
    calls = [node for node in ast.walk(ast.parse(example)) if isinstance(node, ast.Call)]
    ours = [c for c in calls if getattr(c.func, "id", None) in simam_deploy.__all__]
    assert ours
    for call in ours:
        signature = inspect.signature(getattr(simam_deploy, call.func.id))
        signature.bind(*call.args, **{keyword.arg: None for keyword in call.keywords})
