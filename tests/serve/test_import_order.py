"""Which part of the server may import which; circles of files are the whole house's test."""

import graphlib
import subprocess
import sys

import pytest

from tests.test_import_order import PACKAGE, imports

# Beside itself, a part imports those named here. What carries requests knows nothing of what else
# does, and who asks (load) knows the protocol alone.
MAY = {
    "settings": set(),
    "allocator": set(),
    "protocol": set(),
    "aside": {"protocol"},
    "models": {"settings", "protocol", "aside"},
    "describe": {"protocol", "models"},
    "http": {"settings", "protocol", "models", "describe"},
    "grpc": {"settings", "protocol", "models", "describe"},
    "watch": {"settings", "protocol", "models"},
    "server": {"settings", "allocator", "protocol", "models", "http", "grpc", "watch"},
    "ray": {"settings", "protocol", "models", "http"},
    "deploy": {"protocol"},
    "load": {"protocol"},
}
PREFIX = "simam_deploy.serve."


def part_of(module):
    return module.removeprefix(PREFIX).partition(".")[0] if module.startswith(PREFIX) else None


def violations(graph):
    """Arrows between parts that the table does not have."""
    return [
        f"{module} imports {other}"
        for module, others in graph.items()
        if (part := part_of(module))
        for other in others
        if (other + ".").startswith(PREFIX) and part_of(other) not in {part, *MAY[part]}
    ]


def test_imports_within_the_server():
    assert violations(imports(PACKAGE)) == []


def test_the_table_has_every_part_and_no_circle():
    there = {
        p.stem for p in (PACKAGE / "serve").iterdir() if p.suffix == ".py" or any(p.glob("*.py"))
    }
    assert there - {"__init__"} == MAY.keys()
    graphlib.TopologicalSorter(MAY).prepare()


@pytest.mark.parametrize(
    ("module", "other"),
    [
        ("grpc.codec", "http.codec"),
        ("protocol.check", "models.model"),
        ("load.run", "models.model"),
        ("models.model", "server"),
    ],
)
def test_a_planted_arrow_is_found(module, other):
    graph = imports(PACKAGE)
    graph[PREFIX + module].add(PREFIX + other)
    assert violations(graph) == [f"{PREFIX}{module} imports {PREFIX}{other}"]
    graph[PREFIX + module] = {"simam_deploy.serve"}
    assert violations(graph) == [f"{PREFIX}{module} imports simam_deploy.serve"]


def test_a_server_imports_nothing_that_it_may_not_need():
    """gRPC alone is a tenth of a start; pictures, traces and .onnx as a message are as dear."""
    dear = {"grpc", "tritonclient", "opentelemetry", "prometheus_client", "PIL", "onnx", "torch"}
    code = f"import sys, simam_deploy.serve.server; print(*({dear!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
