"""Every kernel in tensors of exactly its size: alone, then under compute-sanitizer.

The program is plugins/simam/tests/device_cases.cu, which holds what it computes against float64.
Dry, it and one of a detector's kernels are compiled: SimAM's take the longest of all, and
tests/plugins compiles them for every architecture.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from gpu.compiled import CASES, DETECTION, compile_one, device_cases, missing_nvcc
from gpu.setting import Setting
from gpu.table import Cell, Row

TOOLS = ("memcheck", "racecheck")
FOUND = 9
"""compute-sanitizer's exit code where it finds something."""
_WORTH_TELLING = re.compile(r"WRONG|=========")


def missing(setting: Setting) -> str:
    """Ask for nvcc."""
    return missing_nvcc()


def cells(setting: Setting) -> Iterable[Cell]:
    """Give the program alone, then each tool."""
    if setting.dry:
        return [("compiled",)]
    return [("none",), *((tool,) for tool in TOOLS)]


def measure(cell: Cell, setting: Setting) -> Iterable[Row]:
    """Run the program under a tool."""
    (tool,) = cell
    if tool == "compiled":
        return [_compiled(setting)]
    if tool == "none":
        return [_ran([str(device_cases(setting))])]
    found = shutil.which("compute-sanitizer") or shutil.which(
        "/usr/local/cuda/bin/compute-sanitizer"
    )
    if found is None:
        raise FileNotFoundError("compute-sanitizer is neither on the PATH nor in /usr/local/cuda")
    how = ["--tool", tool, "--error-exitcode", str(FOUND)]
    return [_ran([found, *how, str(device_cases(setting))])]


def _ran(command: list[str]) -> Row:
    """Run a command and keep its last words."""
    done = subprocess.run(command, capture_output=True, text=True)
    lines = (done.stdout + done.stderr).splitlines()
    told = [line for line in lines if _WORTH_TELLING.search(line)] or lines
    right = "yes" if done.returncode == 0 else "no"
    return {"exit_code": done.returncode, "said": " | ".join(told[-6:]), "right": right}


def _compiled(setting: Setting) -> Row:
    """Compile without linking: nvcc's front end takes what the GPU would be given."""
    with tempfile.TemporaryDirectory() as folder:
        for source in (CASES, DETECTION / "nms.cu"):
            compile_one(source, Path(folder) / f"{source.stem}.ptx", setting, "-ptx")
            size = (Path(folder) / f"{source.stem}.ptx").stat().st_size
    return {"exit_code": 0, "said": f"{source.name}: {size} bytes of PTX", "right": "yes"}
