"""A part that does what its `of` says: a home as gpu.parts names them, for test_conduct."""

import atexit
import os
import subprocess
import sys
import time

if os.environ.get("MISBEHAVING") == "at import":
    raise RuntimeError("broken at import")

CELLS = ("a", "b", "c")
LONG = 600


def missing(setting):
    lacks = setting.of == "skips" and not (setting.work / "mended").exists()
    return "needs a thing, which is missing" if lacks else ""


def cells(setting):
    return [(name,) for name in CELLS if setting.of != "idles"]


def measure(cell, setting):
    (name,) = cell
    with (setting.work / "log").open("a") as log:
        log.write(f"{name}{os.getpid()} ")
    if name == "b":
        misbehave(setting)
    if (name, setting.of) == ("b", "halves") and not (setting.work / "mended").exists():
        yield {"why": "a form that is not taken"}
    yield {"value": name.upper(), "right": "no" if (name, setting.of) == ("b", "lies") else ""}


def misbehave(setting):
    """On what an earlier process of CUDA's would leave broken, too: each cell in a new process."""
    if setting.of == "raises" and not (setting.work / "mended").exists():
        raise ValueError("a figure\nthat is none")
    if setting.of == "dies":
        os.kill(os.getpid(), 9)
    if setting.of == "ends":
        atexit.register(os.abort)
    if setting.of == "leaves":
        sys.exit(3)
    if setting.of == "hangs" and not (setting.work / "mended").exists():
        child = subprocess.Popen(["sleep", str(LONG)])
        (setting.work / "child").write_text(str(child.pid))
        time.sleep(LONG)
