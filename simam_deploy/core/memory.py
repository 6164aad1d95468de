"""What this process takes of the machine's memory."""

from __future__ import annotations

from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory() -> int | None:
    """Give this process's largest resident size in bytes, None where the system does not say.

    Not getrusage's figure, which begins with that of the process that started this one.
    """
    lines = _STATUS.read_text().splitlines() if _STATUS.exists() else []
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), None)
