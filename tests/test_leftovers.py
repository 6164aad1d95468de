"""A test that leaves something open is the one that fails, not the one that runs next."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LEFT = {
    "socket": "socket.create_server(('127.0.0.1', 0))",
    "loop": "asyncio.new_event_loop()",
    "file": "open(__file__)",
    "child": "subprocess.Popen(['sleep', '0'], stdout=subprocess.PIPE)",
    "folder": "tempfile.TemporaryDirectory()",
}


@pytest.mark.parametrize("failed", [False, True])
def test_the_owner_is_blamed(failed, tmp_path):
    """In a cycle, so that it is found by the collector alone: without the fixture, by the next."""
    (tmp_path / "conftest.py").write_text("from tests.conftest import leaves_nothing_open\n")
    for name, left in LEFT.items():
        (tmp_path / f"test_{name}.py").write_text(
            textwrap.dedent(f"""
                import asyncio, gc, socket, subprocess, tempfile

                def test_owner():
                    cycle = [{left}]
                    cycle.append(cycle)
                    assert not {failed}

                def test_next():
                    gc.collect()
            """)
        )
    path = os.pathsep.join([str(ROOT), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", tmp_path],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    blamed = re.findall(r"^ERROR test_(\w+)\.py::(\w+)", done.stdout, re.MULTILINE)
    assert sorted(blamed) == sorted((name, "test_owner") for name in LEFT)
    assert ("5 failed, 5 passed, 5 error" if failed else "10 passed, 5 error") in done.stdout
