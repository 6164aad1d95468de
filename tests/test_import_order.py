"""The table of rooms: who may import whom."""

import ast
import graphlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "simam_deploy"

# A room imports rooms above it in this table, and itself; never one on its own line.
ORDER = [
    {"errors"},
    {"core", "op"},
    {"models", "graph"},
    {"runtime"},
    {"source", "engine"},
    {"precision", "detect"},
    {"verify", "serve"},
    {"bench"},
    {"pipeline"},
    {"report"},
    {"cli"},
]
FLOOR = {room: number for number, rooms in enumerate(ORDER) for room in rooms}
DOORS = {"__init__", "__main__"}
HEAVY = {
    "torch", "onnx", "onnx_ir", "onnxruntime", "onnxsim", "onnxscript", "safetensors",
    "PIL", "tensorrt", "tensorrt_rtx", "cuda", "uvicorn", "starlette", "grpc", "tritonclient",
    "matplotlib",
}  # fmt: skip


def module_of(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(package: Path) -> dict[str, set[str]]:
    """Every module of a package, and those of the same package that it imports anywhere in it."""
    files = {module_of(path, package): path for path in package.rglob("*.py")}
    return {module: set(_imported(path, files)) - {module} for module, path in files.items()}


def _imported(path: Path, files: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
        if isinstance(node, ast.ImportFrom) and node.module in files:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from whole & files.keys() or {node.module}


def violations(package: Path) -> list[str]:
    """Arrows that do not point to a room above, and circles of files."""
    graph = imports(package)
    rooms = {module: module.split(".")[1] for module in graph if "." in module}
    found = [
        f"{module} imports {other}"
        for module, room in rooms.items()
        if room not in DOORS
        for other in graph[module]
        if other not in rooms or (rooms[other] != room and FLOOR[rooms[other]] >= FLOOR[room])
    ]
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        found.append(f"circle: {' <- '.join(error.args[1])}")
    return found


def test_imports_point_up_the_table_and_in_no_circle():
    assert violations(PACKAGE) == []


def test_every_room_is_in_the_table():
    found = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or any(p.glob("*.py"))}
    assert found == FLOOR.keys() | DOORS


@pytest.mark.parametrize(
    ("file", "statement", "named"),
    [
        ("graph/a.py", "from simam_deploy.verify import b", "simam_deploy.graph.a imports"),
        ("graph/a.py", "import simam_deploy.cli.b", "simam_deploy.graph.a imports"),
        ("engine/a.py", "def late():\n    from simam_deploy.source.b import x", "engine.a imports"),
        ("core/a.py", "import simam_deploy", "simam_deploy.core.a imports simam_deploy"),
        ("core/a.py", "from simam_deploy.core.b import x", "circle: "),
    ],
)
def test_a_planted_arrow_is_found(tmp_path, file, statement, named):
    package = tmp_path / "simam_deploy"
    for name in ("__init__.py", "verify/b.py", "cli/b.py", "source/b.py", "core/b.py", file):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).touch()
    for folder in ("verify", "cli", "source", "core"):
        (package / folder / "__init__.py").touch()
    (package / "core" / "b.py").write_text("from simam_deploy.core.a import y\n")
    (package / "core" / "a.py").touch()
    assert violations(package) == []
    (package / file).write_text(statement)
    assert any(named in line for line in violations(package))


OUTSIDE = sorted(path for folder in ("scripts", "tests", "examples") for path in
                 (ROOT / folder).rglob("*.py"))  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_scripts_and_tests_import_is_there(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("simam_deploy"):
            assert importlib.util.find_spec(node.module), node.module


@pytest.mark.parametrize(
    "statement",
    [
        "import simam_deploy",
        "import simam_deploy.cli.bench",
        "import simam_deploy.cli.build",
        "import simam_deploy.cli.doctor",
        "import simam_deploy.cli.explain",
        "import simam_deploy.cli.export",
        "import simam_deploy.cli.inspect",
        "import simam_deploy.cli.validate",
        "import simam_deploy.cli.load",
        "import simam_deploy.cli.report",
        "import simam_deploy.serve.load",
        "import simam_deploy.cli.serve",
        "import simam_deploy.models.zoo",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement):
    code = f"{statement}\nimport sys\nprint(*({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("steps", ["build", "validate"])
def test_torch_is_not_loaded_for_what_reads_onnx_files(steps):
    code = f"import simam_deploy.pipeline.{steps}\nimport sys\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
