"""What a row says of where it was measured: the GPU, its driver, the versions and the code."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import subprocess

from gpu.setting import ROOT, WORK
from gpu.table import STAMP
from simam_deploy.core.version import __version__
from simam_deploy.runtime.gpu import find_gpus

PACKAGES = ("torch", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt_rtx_cu13")
CODE = ("simam_deploy/**/*.py", "plugins/**/*.*", "scripts/bench/**/*.py")
DRY = "dry run"
"""Stands for the GPU in rows that no GPU made."""


def find_gpu() -> tuple[str, str]:
    """Give the first GPU's name and its driver's version; ("", "") where there is none."""
    gpus = find_gpus()
    if not gpus.devices:
        return "", ""
    return gpus.devices[0].name, _driver() or f"for CUDA {gpus.cuda}"


def _driver() -> str:
    """Ask nvidia-smi, which not every image has, for the driver's version; "" where it has none."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.partition("\n")[0].strip() if done.returncode == 0 else ""


def stamp(dry: bool) -> dict[str, str]:
    """Give the columns that every row of this run begins with."""
    gpu, driver = (DRY, "") if dry else find_gpu()
    now = datetime.datetime.now().isoformat(" ", "seconds")
    return dict(zip(STAMP, (now, gpu, driver, versions()), strict=True))


def versions() -> str:
    """Name the packages, and this code and what was packed by the start of a hash."""
    found = [f"simam-deploy {__version__}", f"code {code()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    pack = WORK / "pack.json"
    if pack.exists():
        found.append(f"pack {hashlib.sha256(pack.read_bytes()).hexdigest()[:8]}")
    return ", ".join(found)


def code() -> str:
    """Hash what is run: a copy of the working tree need not be a repository."""
    whole = hashlib.sha256()
    for pattern in CODE:
        for path in sorted(ROOT.glob(pattern)):
            whole.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return whole.hexdigest()[:8]
