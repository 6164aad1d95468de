"""Find the compiled SimAM plugin."""

from __future__ import annotations

from pathlib import Path


def find_plugin(flavour: str) -> Path | None:
    """Find the plugin library for a flavour, "tensorrt" or "tensorrt_rtx"; None without one."""
    return None
