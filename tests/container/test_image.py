"""The Dockerfile: what it installs, starts and asks is there, and nothing of it is root's."""

import json
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from simam_deploy.cli.serve import parser
from simam_deploy.serve.http.app import OPEN_PATHS
from tests.container.image import DOCKERFILE, ROOT, TARGETS, Image, stages

TEXT = DOCKERFILE.read_text("utf-8")
PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
PACKAGE = re.compile(r'"([a-z][\w-]*)[^"]*"')
IGNORED = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
"""Docker's: the last line that fits a path decides, `!` takes it back in."""


@pytest.fixture(params=TARGETS)
def image(request):
    return Image(request.param)


def extras() -> dict[str, list[str]]:
    """Give what each extra of pyproject.toml brings, by name."""
    table = PROJECT.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    found = re.findall(r"^([\w-]+) = \[(.*?)\]$", table, re.MULTILINE | re.DOTALL)
    return {name: PACKAGE.findall(listed) for name, listed in found}


def in_context(path: str) -> bool:
    """Whether Docker is handed a file, or a folder, of the repository."""
    taken = True
    for line in IGNORED:
        pattern = line.removeprefix("!")
        if not line.startswith("#") and fnmatch(path, pattern.replace("**/", "*")):
            taken = line.startswith("!")
    return taken


def test_its_user_is_a_number_and_not_root(image):
    user, group = image.last("USER").split(":")
    assert int(user) > 0 < int(group)


def test_what_it_starts_takes_its_options(image):
    program, *options = image.command
    assert f'{program} = "simam_deploy.cli.serve:main"' in PROJECT
    args = parser().parse_args(options)
    assert (args.host, args.token_file, args.models) == (
        "0.0.0.0",
        "/run/secrets/token",
        [image.last("WORKDIR")],
    )
    assert {"--host", "--token-file"} <= {*image.entry}  # which `docker run` leaves as they are


def test_its_ports_and_its_health_are_the_servers(image):
    args = parser().parse_args(["model.onnx"])
    assert image.last("EXPOSE").split() == [str(args.http_port), str(args.grpc_port)]
    (port, path) = re.findall(r"http://127\.0\.0\.1:(\d+)([\w/]+)", image.health[-1])[0]
    assert int(port) == args.http_port
    assert path in OPEN_PATHS  # no token is asked for
    assert image.last("STOPSIGNAL") == "SIGTERM"


def test_its_extras_are_there_and_pinned(image):
    known = extras()
    assert image.target in image.extras and "serve" in image.extras
    assert not {*image.extras} - {*known}
    needed = {*PACKAGE.findall(PROJECT.partition("\ndependencies = [")[2].partition("\n]")[0])}
    needed.update(package for extra in image.extras for package in known[extra])
    lines = (ROOT / "constraints.txt").read_text("utf-8").lower().replace("_", "-").splitlines()
    assert sorted(needed - {line.partition("==")[0] for line in lines}) == []


def test_everything_is_installed_as_pinned():
    installs = [
        rest
        for _, each in stages(TEXT).values()
        for name, rest in each
        if name == "RUN" and "pip install" in rest
    ]
    assert len(installs) == 4
    assert [rest for rest in installs if "-c constraints.txt" not in rest] == []


def test_the_context_is_what_the_wheel_is_made_of():
    named = re.search(r'readme = "(.*)"\nlicense = .*\nlicense-files = \["(.*)"\]', PROJECT)
    built = PROJECT.partition("[tool.hatch.build.targets.wheel]")[2]
    package = re.search(r'packages = \["(.*)"\]', built)[1]
    for path in (*named.groups(), package, "pyproject.toml", "constraints.txt"):
        assert in_context(path), path
    for path in ("token", "models", ".git", ".venv", "tests", "simam_deploy/core/__pycache__"):
        assert not in_context(path), path


def test_hadolint_has_nothing_to_say():
    program = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("no hadolint: its wheels are for Linux on x86_64")
    done = subprocess.run([program, "--format", "json", DOCKERFILE], capture_output=True)
    assert json.loads(done.stdout) == []


FAULTS = {
    "root": ("USER 10001:10001", "USER 0:0", test_its_user_is_a_number_and_not_root),
    "a name": ("USER 10001:10001", "USER simam:simam", test_its_user_is_a_number_and_not_root),
    "an option": ('"--token-file"', '"--tokenfile"', test_what_it_starts_takes_its_options),
    "no token": (
        ', "--token-file", "/run/secrets/token"',
        "",
        test_what_it_starts_takes_its_options,
    ),
    "an extra": ("EXTRAS=cpu,serve", "EXTRAS=cpu,servo", test_its_extras_are_there_and_pinned),
    "another's extra": (
        "COPY --from=cpu-packages",
        "COPY --from=gpu-packages",
        test_its_extras_are_there_and_pinned,
    ),
    "another port": (
        "127.0.0.1:8000",
        "127.0.0.1:80",
        test_its_ports_and_its_health_are_the_servers,
    ),
    "a path with a token": (
        "/v2/health/ready",
        "/v2/models",
        test_its_ports_and_its_health_are_the_servers,
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault):
    old, new, test = FAULTS[fault]
    assert old in TEXT
    with pytest.raises((AssertionError, ValueError, SystemExit)):
        test(Image("cpu", TEXT.replace(old, new)))
