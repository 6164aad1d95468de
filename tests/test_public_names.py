"""Every public name is the object that its home defines, and type checkers are told the same."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import simam_deploy


def told_to_type_checkers() -> dict[str, str]:
    """Read name -> module off the imports under TYPE_CHECKING, which nothing runs."""
    tree = ast.parse(Path(simam_deploy.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {
        alias.asname or alias.name: f"{node.module}" for node in imports for alias in node.names
    }


HOMES = told_to_type_checkers()


def test_type_checkers_are_told_every_name():
    assert sorted(HOMES) == sorted(simam_deploy.__all__)
    assert len(set(simam_deploy.__all__)) == len(simam_deploy.__all__)


@pytest.mark.parametrize("name", simam_deploy.__all__)
def test_a_name_is_what_its_home_defines(name, monkeypatch):
    asked = []
    load = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", lambda home: asked.append(home) or load(home))
    found = getattr(simam_deploy, name)
    assert asked == [HOMES[name]], "it comes from another module than type checkers are told"
    home = load(HOMES[name])
    assert found is vars(home)[name]
    assert name in defined_in(home), "its home has it from elsewhere"


def defined_in(module) -> set[str]:
    """Name what a module defines itself: classes, functions and constants, not its imports."""
    names: set[str] = set()
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.add(node.name)
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def test_what_is_not_public_is_no_attribute():
    with pytest.raises(AttributeError, match="has no attribute 'load_subject'"):
        getattr(simam_deploy, "load_subject")  # noqa: B009 - the name is the point
