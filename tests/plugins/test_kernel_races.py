"""Every kernel with a host thread for each CUDA thread, under ThreadSanitizer."""

import subprocess

import pytest

from tests.plugins.host_kernel import HOST, KERNEL, compile_host

RACE = 66
"""ThreadSanitizer's exit code where it saw a race."""


@pytest.fixture(scope="session")
def race(tmp_path_factory):
    folder = tmp_path_factory.mktemp("race")
    sources = [KERNEL / "choose.cpp", KERNEL / "check.cpp", HOST / "race.cpp"]
    return compile_host(sources, folder / "race", "-O1", "-g", "-fsanitize=thread")


def run(race, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([race, *words], capture_output=True, text=True, timeout=600)


def test_no_race(race):
    done = run(race)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("barrier", "bodies"),
    [
        pytest.param(
            "0",
            {"PlaneGroup", "PlaneByBlock", "PlaneStatistics", "TileBody", "TileApply"},
            marks=pytest.mark.slow,
        ),
        ("cluster", {"PlaneByBlock", "TileBody"}),
        pytest.param("1", {"PlaneGroup", "PlaneStatistics", "TileBody"}, marks=pytest.mark.slow),
        pytest.param("2", {"TileBody", "TileStatistics"}, marks=pytest.mark.slow),
        pytest.param("3", {"TileBody"}, marks=pytest.mark.slow),
    ],
)
def test_a_barrier_taken_out_is_seen(race, barrier, bodies):
    done = run(race, barrier)
    assert done.returncode == RACE, done.stdout
    assert {body for body in bodies if f"simam::{body}<" in done.stderr} == bodies
