"""See that what pyproject.toml states can be installed: a Python, a system, lowest and highest.

    python scripts/check_resolution.py

Asks PyPI by `uv pip compile`, which reads metadata alone, for simam-deploy with its extras of that
system, and prints a table; the exit code is 1 where there is no set of versions. The lowest are
asked for on the Pythons that they have wheels for.
"""

import itertools
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
SYSTEMS = {
    "Linux x86_64": "x86_64-manylinux_2_28",
    "Linux aarch64": "aarch64-manylinux_2_28",
    "Windows": "x86_64-pc-windows-msvc",
    "macOS": "aarch64-apple-darwin",
}
EXTRAS = ("cpu", "detection", "images", "otel", "report", "rtx", "serve")
LOWEST_SINCE = ("3.10", "3.11")


def resolved(python: str, system: str, resolution: str) -> str:
    """Give how many packages there are, or why there is no such set."""
    command = [
        *("uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--only-binary=:all:"),
        "--no-binary=tensorrt-rtx-cu13",  # a text that names two wheels
        *("--python-version", python, "--python-platform", SYSTEMS[system]),
        *("--resolution", resolution, *(f"--extra={extra}" for extra in EXTRAS)),
        str(ROOT / "pyproject.toml"),
    ]
    environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"}  # as ONNX Runtime's wheels
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    if done.returncode:
        return "no: " + " ".join(done.stderr.split())[:300]
    return f"{len(done.stdout.splitlines())} packages"


def main() -> None:
    failed = False
    for python, system in itertools.product(PYTHONS, SYSTEMS):
        kinds = ("highest", "lowest-direct") if python in LOWEST_SINCE else ("highest",)
        for kind in kinds:
            found = resolved(python, system, kind)
            failed |= found.startswith("no")
            print(f"{python}  {system:14}  {kind:13}  {found}", flush=True)
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
