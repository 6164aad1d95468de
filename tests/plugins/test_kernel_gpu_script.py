"""What scripts/bench/kernel_gpu.py says before it measures anything."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "bench" / "kernel_gpu.py"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_so(tmp_path):
    done = run("--out", str(tmp_path / "results"))
    assert done.returncode == 2
    assert done.stderr.startswith("kernel_gpu: no CUDA GPU is seen")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("steps", "message"),
    [("build,polish", "unknown step polish"), ("speed", "without build, set SIMAM_KERNEL_LIBRARY")],
)
def test_it_refuses_other_steps(steps, message, monkeypatch):
    monkeypatch.delenv("SIMAM_KERNEL_LIBRARY", raising=False)
    done = run("--steps", steps)
    assert done.returncode == 2
    assert message in done.stderr
