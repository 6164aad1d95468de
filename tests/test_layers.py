"""The table of rooms: who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "simam_deploy"

# A room may import rooms on lower floors, and itself; never a neighbour on its own floor.
FLOORS = [
    {
        "errors",
        "op",
        "artifacts",
        "digest",
        "labels",
        "naming",
        "inspect_report",
        "comparison_report",
        "staging",
        "gpu",
        "plugin",
    },
    {"checkpoint", "models", "dataset", "ops", "load"},
    {"graph"},
    {"export", "manifest"},
    {"engine"},
    {"runtime"},
    {"plan", "validate", "gates", "layers", "quantize", "candidate", "accuracy", "doctor"},
    {"report"},
    {"sources", "deploy", "conversion", "drift", "bisect", "ranges"},
    {"pair"},
    {"pipeline", "inspection", "comparison"},
    {"engine_proof"},
    {"engine_pipeline"},
    {"serve"},
    {"ray_serve"},
    {"cli"},
]
NEIGHBOURS_ALLOWED = {
    ("artifacts", "errors"),
    ("inspect_report", "artifacts"),
    ("comparison_report", "artifacts"),
    ("staging", "errors"),
    ("plugin", "errors"),
    ("labels", "errors"),
    ("export", "graph"),
}
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
HEAVY = {
    "torch", "onnx", "onnx_ir", "onnxruntime", "onnxsim", "onnxscript", "safetensors",
    "PIL", "tensorrt", "tensorrt_rtx", "cuda", "uvicorn", "starlette", "grpc", "tritonclient",
}  # fmt: skip


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("simam_deploy"):
            rest = node.module.split(".")[1:]
            found |= {rest[0]} if rest else {alias.name for alias in node.names}
    return found - {"__version__"}


FRONT_DOORS = {PACKAGE / "__init__.py", PACKAGE / "__main__.py"}
FILES = sorted(set(PACKAGE.rglob("*.py")) - FRONT_DOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    room = room_of(path)
    for other in imports(path) - {room}:
        allowed = FLOOR[other] < FLOOR[room] or (room, other) in NEIGHBOURS_ALLOWED
        assert allowed, f"{room} imports {other}"


@pytest.mark.parametrize(
    "statement",
    [
        "import simam_deploy",
        "import simam_deploy.cli.build",
        "import simam_deploy.cli.doctor",
        "import simam_deploy.cli.export",
        "import simam_deploy.cli.inspect",
        "import simam_deploy.cli.validate",
        "import simam_deploy.cli.load",
        "import simam_deploy.load",
        "import simam_deploy.cli.serve",
        "import simam_deploy.models.zoo",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement):
    code = f"{statement}\nimport sys\nprint(*({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
