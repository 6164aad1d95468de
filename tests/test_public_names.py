"""Every public name is the object that its home defines, and type checkers are told the same."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import simam_deploy

FUNCTIONS = (
    "attention_maps", "build", "export_onnx", "grad_cam", "inspect_onnx", "validate_models"
)  # fmt: skip
PUBLIC = [
    "CheckpointError",
    "ComparisonOptions",
    "ComparisonReport",
    "Detections",
    "EngineArtifact",
    "EngineError",
    "EngineOptions",
    "GradCam",
    "GraphError",
    "Heatmap",
    "InputError",
    "InspectReport",
    "NETWORKS",
    "NetworkError",
    "NetworkOptions",
    "ObjectDetector",
    "OnnxArtifact",
    "OnnxOptions",
    "Progress",
    "SampleOptions",
    "SimAM",
    "SimamError",
    "TensorSpec",
    "UsageError",
    "ValidationError",
    "ValidationReport",
    "attention_maps",
    "build",
    "export_onnx",
    "grad_cam",
    "inspect_onnx",
    "validate_models",
]


def told_to_type_checkers() -> dict[str, str]:
    """Read name -> module off the imports under TYPE_CHECKING, which nothing runs."""
    tree = ast.parse(Path(simam_deploy.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {
        alias.asname: f"{node.module}"
        for node in imports
        for alias in node.names
        if alias.asname == alias.name  # else a strict checker takes it for the package's own use
    }


HOMES = told_to_type_checkers()


def test_type_checkers_are_told_every_name():
    assert sorted(HOMES) == sorted(simam_deploy.__all__)
    assert len(set(simam_deploy.__all__)) == len(simam_deploy.__all__)


@pytest.mark.parametrize("name", simam_deploy.__all__)
def test_a_name_is_what_its_home_defines(name, monkeypatch):
    asked = []
    load = importlib.import_module

    def note(home):
        if sys._getframe(1).f_globals["__name__"] == "simam_deploy":  # others are lazy too
            asked.append(home)
        return load(home)

    monkeypatch.setattr(importlib, "import_module", note)
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


def test_the_names_are_those_promised():
    assert sorted(simam_deploy.__all__) == sorted(PUBLIC)


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
    ours -= {"np", "npt", "os", "Path"}
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
