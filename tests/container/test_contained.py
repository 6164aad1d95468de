"""What the image starts, as it is meant to be started: another user, nothing to write but /tmp.

Docker is not asked: bubblewrap makes the same walls (namespaces of users, processes and networks,
a file system that is only read) around this Python, and what stands in the Dockerfile is run.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.container.image import ROOT, Image
from tests.marks import slow
from tests.serve.graphs import free_size

IMAGE = Image("cpu")
TOKEN = "a-long-secret"
OWN = ("dev", "models", "proc", "run", "tmp")
"""What the container has of its own at the root."""


@functools.cache
def without() -> str:
    """Say why there can be no container, if that is so."""
    if not shutil.which("bwrap"):
        return "no bubblewrap"
    tried = subprocess.run([*walls(), "true"], capture_output=True, text=True)
    return tried.stderr.strip().partition("\n")[0]


def walls(*bound: str) -> list[str]:
    """Give the command that puts another behind the walls of compose.yaml."""
    user = IMAGE.last("USER").partition(":")[0]
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--uid", user, "--gid", user]
    for entry in sorted(Path("/").iterdir()):
        if entry.is_symlink():
            command += ["--symlink", str(entry.readlink()), str(entry)]
        elif entry.is_dir() and entry.name not in OWN:
            command += ["--ro-bind", str(entry), str(entry)]
    command += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", *bound]
    for folder in dict.fromkeys((str(ROOT), sys.prefix, sys.base_prefix)):
        command += ["--ro-bind", folder, folder]
    return [*command, "--remount-ro", "/", "--clearenv", *_environment()]


def _environment() -> list[str]:
    """Give the image's environment, with this Python in its place, and Docker's HOME."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    given = {**IMAGE.environment, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": "/"}
    return [word for name, value in given.items() for word in ("--setenv", name, value)]


def contained(models: Path, token: Path | None, *asked: object) -> dict[str, object]:
    """Let a container live once, asked for a model's name and of a shape; give what was seen."""
    if reason := without():
        pytest.skip(f"cannot make a container here: {reason}")
    bound = ["--ro-bind", str(models), "/models"]
    if token is not None:
        bound += ["--ro-bind", str(token), "/run/secrets/token"]
    inside = [sys.executable, str(Path(__file__).with_name("inside.py"))]
    told = [json.dumps(IMAGE.command), json.dumps(IMAGE.health), TOKEN, *map(str, asked)]
    done = subprocess.run([*walls(*bound), *inside, *told], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def token(tmp_path) -> Path:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o400)
    return file


def mean(folder: Path, digits: Path) -> tuple[str, list[int], list[int]]:
    """A small graph, asked with more JSON than the server's own process reads."""
    free_size(folder)
    return "free", [1, 1, 200, 200], [1, 1, 1, 1]


def checkpoint(folder: Path, digits: Path) -> tuple[str, list[int], list[int]]:
    """The trained digits, which are exported first."""
    shutil.copyfile(digits, folder / "digits.pth.tar")
    return "digits", [6, 3, 32, 32], [6, 10]


@pytest.mark.parametrize("make", [mean, *slow([checkpoint])])
def test_it_serves_as_nobody_and_writes_nothing_but_tmp(make, tmp_path, token, digits):
    """The health check says when; SIGTERM ends it."""
    models = tmp_path / "models"
    models.mkdir()
    name, shape, answered = make(models, digits)
    seen = contained(models, token, name, shape)
    assert seen["user"] == 10001 != os.getuid()
    assert seen["written"] == ["/tmp"]
    assert seen["at once"] == 1, "the health check was content before there was a server"
    assert seen["ready"] == 0, seen["said"]
    assert seen["without token"] == 401
    assert seen["answered"] == [200, answered]
    assert seen["ended"] == 0
    # A number of the device, which ONNX Runtime tells Microsoft, would lie beside it.
    assert seen["left"] in ([], ["simam-deploy"])
    assert "WARNING" not in seen["said"] and "Traceback" not in seen["said"]


def test_without_its_token_it_ends(tmp_path):
    seen = contained(tmp_path, None, "none", [])
    assert seen["ended"] == 1
    assert "/run/secrets/token" in seen["said"] and "Traceback" not in seen["said"]
