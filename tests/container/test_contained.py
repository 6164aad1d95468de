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


def contained(models: Path, token: Path | None) -> dict[str, object]:
    """Let a container live once, and give what was seen in it."""
    if reason := without():
        pytest.skip(f"cannot make a container here: {reason}")
    bound = ["--ro-bind", str(models), "/models"]
    if token is not None:
        bound += ["--ro-bind", str(token), "/run/secrets/token"]
    inside = [sys.executable, str(Path(__file__).with_name("inside.py"))]
    told = [json.dumps(IMAGE.command), json.dumps(IMAGE.health), TOKEN]
    done = subprocess.run([*walls(*bound), *inside, *told], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def models(tmp_path_factory, digits) -> Path:
    folder = tmp_path_factory.mktemp("models")
    shutil.copyfile(digits, folder / "digits.pth.tar")
    return folder


@pytest.fixture
def token(tmp_path) -> Path:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o400)
    return file


def test_it_serves_as_nobody_and_writes_nothing_but_tmp(models, token):
    """A checkpoint, which is exported first; the health check says when, SIGTERM ends it."""
    seen = contained(models, token)
    assert seen["user"] == 10001 != os.getuid()
    assert seen["written"] == ["/tmp"]
    assert seen["at once"] == 1, "the health check was content before there was a server"
    assert seen["ready"] == 0, seen["said"]
    assert seen["without token"] == 401
    assert seen["answered"] == [200, [6, 10]]
    assert seen["ended"] == 0
    assert "WARNING" not in seen["said"] and "Traceback" not in seen["said"]


def test_without_its_token_it_ends(models):
    seen = contained(models, None)
    assert seen["ended"] == 1
    assert "/run/secrets/token" in seen["said"] and "Traceback" not in seen["said"]
