"""A detector's kernels with a host thread for each CUDA thread, under the sanitizers."""

import os
import subprocess

import pytest

from tests.marks import slow_but
from tests.plugins.host_detection import DETECTION
from tests.plugins.host_kernel import HOST, compile_host
from tests.plugins.test_kernel_races import RACE


def build(folder, sanitizers: str):
    sources = [DETECTION / "check.cpp", HOST / "detection_race.cpp"]
    options = ("-ffp-contract=off", "-O1", "-g", f"-fsanitize={sanitizers}")
    return compile_host(sources, folder / "race", *options)


@pytest.fixture(scope="session")
def race(tmp_path_factory):
    return build(tmp_path_factory.mktemp("detection_race"), "thread")


def run(race, *words: str) -> subprocess.CompletedProcess[str]:
    """With as long a memory as there is: of what it has forgotten, nothing is reported."""
    environment = {**os.environ, "TSAN_OPTIONS": "history_size=7"}
    return subprocess.run(
        [race, *words], capture_output=True, text=True, timeout=600, env=environment
    )


def test_no_race(race):
    done = run(race)
    assert done.returncode == 0, done.stdout + done.stderr


TAKEN_OUT = {
    ("nms", "1"): {"NmsOrder", "NmsSweep"},
    ("align", "3"): {"AlignBody"},
    ("nms", "0"): {"NmsOverlaps", "NmsSweep"},
    ("nms", "2"): {"NmsOrder"},
    ("align", "0"): {"AlignBody"},
    ("align", "4"): {"AlignBody"},
}
"""By operator and barrier, the kernels that race without it."""


@pytest.mark.parametrize("barrier", slow_but(list(TAKEN_OUT)[:1], TAKEN_OUT))
def test_a_barrier_taken_out_is_seen(race, barrier):
    done = run(race, *barrier)
    bodies = TAKEN_OUT[barrier]
    assert done.returncode == RACE, done.stdout
    assert {body for body in bodies if f"simam::{body}" in done.stderr} == bodies


def test_nothing_is_read_or_written_beside_a_tensor(tmp_path):
    program = build(tmp_path, "address,undefined")
    done = subprocess.run([program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
