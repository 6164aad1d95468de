"""The kernels of plugins/simam, compiled by nvcc for the GPU that is there, once for all parts."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from gpu.facts import code
from gpu.setting import ROOT, Setting

SIMAM = ROOT / "plugins" / "simam"
KERNEL = SIMAM / "kernel"
DETECTION = SIMAM / "detection"
CASES = SIMAM / "tests" / "device_cases.cu"
DRY_ARCHITECTURE = "sm_90"
OPTIONS = ("-std=c++17", "-O3", "-lineinfo", "-Xcompiler", "-fPIC")


def nvcc() -> str | None:
    """Find nvcc on the PATH or in /usr/local/cuda."""
    return shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")


def missing_nvcc() -> str:
    """Say that there is no nvcc; "" where there is."""
    return "" if nvcc() else "nvcc is neither on the PATH nor in /usr/local/cuda/bin: install CUDA"


def architecture(setting: Setting) -> str:
    """Name the GPU's, as nvcc does."""
    if setting.dry:
        return DRY_ARCHITECTURE
    import torch

    major, minor = torch.cuda.get_device_capability()
    return f"sm_{major}{minor}"


def kernel_library(setting: Setting) -> Path:
    """Give SimAM's kernel as a shared library, as `simam_deploy.op.torch` loads it."""
    return _made(setting, "libsimam_kernel.so", sources(KERNEL), ("-shared",))


def detection_library(setting: Setting) -> Path:
    """Give a detector's two operators as a shared library."""
    return _made(setting, "libsimam_detection.so", sources(DETECTION), ("-shared",))


def device_cases(setting: Setting) -> Path:
    """Give the program that runs every kernel and holds it against float64."""
    return _made(setting, "device_cases", [CASES, *sources(KERNEL)], ())


def sources(folder: Path) -> list[Path]:
    """List what a library is compiled of."""
    return sorted([*folder.glob("*.cu"), *folder.glob("*.cpp")])


def _made(setting: Setting, name: str, files: Sequence[Path], how: Sequence[str]) -> Path:
    """Compile each file at once with the others, and link them; what is there already is taken."""
    target = setting.work / "compiled" / f"{architecture(setting)}-{code()}" / name
    if not target.exists():
        objects = target.parent / "objects"
        objects.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            made = list(pool.map(partial(_object, objects, setting), files))
        _whole(target, lambda part: run_nvcc([*how, *map(str, made), "-o", str(part)], setting))
    return target


def _object(folder: Path, setting: Setting, source: Path) -> Path:
    """Compile a file, unless that was done for another program."""
    target = folder / f"{source.parent.name}-{source.stem}.o"
    if not target.exists():
        _whole(target, lambda part: compile_one(source, part, setting, "-c"))
    return target


def _whole(target: Path, make: Callable[[Path], None]) -> None:
    """Make a file that is there whole or not at all."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        part = Path(folder) / target.name
        make(part)
        part.replace(target)


def compile_one(source: Path, target: Path, setting: Setting, kind: str) -> None:
    """Compile a file to an object ("-c") or to the assembler's text ("-ptx")."""
    run_nvcc([*OPTIONS, f"-I{KERNEL}", kind, str(source), "-o", str(target)], setting)


def run_nvcc(words: Sequence[str], setting: Setting) -> None:
    """Run nvcc for the GPU's architecture.

    Raises:
        RuntimeError: It refuses; its words are in the message.
    """
    command = [nvcc() or "nvcc", f"-arch={architecture(setting)}", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"nvcc: {(done.stderr or done.stdout).strip()}")
