"""The machine, the versions and the time that figures are of."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path

from simam_deploy.bench.records import Circumstances
from simam_deploy.core.manifest import tool_versions
from simam_deploy.runtime.gpu import find_gpus

_MORE = ("numpy", "tensorrt-rtx-cu13", "tensorrt-cu12", "tensorrt-cu13")


def circumstances(threads: int) -> Circumstances:
    """Tell where and when figures are taken."""
    devices = find_gpus().devices
    return Circumstances(
        date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        machine=f"{_processor()}, {cores()} cores",
        gpu=devices[0].name if devices else None,
        versions={"python": platform.python_version(), **tool_versions(_MORE)},
        threads=threads,
    )


def cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    """Name the processor; Linux says it in a file alone."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
