"""`simam_deploy`: the names that it promises, and that they suffice."""

import ast
import importlib
import inspect
import re
import subprocess
import sys

import pytest

import simam_deploy

FUNCTIONS = ("build", "export_onnx", "inspect_onnx", "validate_models")
PUBLIC = [
    "CheckpointError",
    "ComparisonOptions",
    "ComparisonReport",
    "EngineArtifact",
    "EngineError",
    "EngineOptions",
    "GraphError",
    "InputError",
    "InspectReport",
    "NETWORKS",
    "NetworkError",
    "NetworkOptions",
    "OnnxArtifact",
    "OnnxOptions",
    "Progress",
    "SampleOptions",
    "SimAM",
    "SimamError",
    "UsageError",
    "ValidationError",
    "ValidationReport",
    "build",
    "export_onnx",
    "inspect_onnx",
    "validate_models",
]


def parsed(module):
    return ast.parse(inspect.getsource(module))


def defined(tree):
    """What a module defines itself, as against what it imports."""
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.name
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def told_to_checkers():
    """The imports that a type checker sees and the program does not."""
    (block,) = [node for node in parsed(simam_deploy).body if isinstance(node, ast.If)]
    return {
        alias.asname or alias.name: f"{node.module}" for node in block.body for alias in node.names
    }


def test_the_names_are_those_promised():
    assert sorted(simam_deploy.__all__) == sorted(PUBLIC)
    assert len(set(simam_deploy.__all__)) == len(simam_deploy.__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_name_is_that_of_its_home(name):
    home = importlib.import_module(f"simam_deploy.{simam_deploy._HOMES[name]}")
    assert getattr(simam_deploy, name) is getattr(home, name)
    assert name in defined(parsed(home)), f"{home.__name__} only imports it"


def test_checkers_and_readers_are_told_the_same_homes():
    homes = {name: f"simam_deploy.{home}" for name, home in simam_deploy._HOMES.items()}
    assert told_to_checkers() == homes


def test_what_is_not_promised_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'export'"):
        simam_deploy.export  # noqa: B018


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_takes_six_parameters_at_most(name):
    assert len(inspect.signature(getattr(simam_deploy, name)).parameters) <= 6


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_that_a_function_takes_gives_and_raises_is_public(name):
    function = getattr(simam_deploy, name)
    signature = inspect.signature(function)
    annotations = [p.annotation for p in signature.parameters.values()]
    text = " ".join(map(str, [*annotations, signature.return_annotation]))
    ours = {word for word in re.findall(r"\w+", text) if word in vars(inspect.getmodule(function))}
    ours -= {"os", "Path"}
    raised = set(re.findall(r"\w+Error", inspect.getdoc(function)))
    assert raised
    assert ours | raised <= set(simam_deploy.__all__)


def test_options_are_there_without_anything_heavy():
    """Records are what a program of somebody's makes first, and asks its user for."""
    names = [name for name in PUBLIC if name.endswith("Options")]
    code = (
        f"import simam_deploy, sys\nfor name in {names}: getattr(simam_deploy, name)()\n"
        "print(*({'torch', 'numpy', 'onnx', 'onnx_ir'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
