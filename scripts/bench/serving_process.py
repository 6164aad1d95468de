"""A server in a process of its own: started, waited for, ended."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

BATCH = 8


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def wait_ready(port: int, path: str, child: subprocess.Popen[bytes]) -> None:
    while child.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1).close()
            return
        time.sleep(0.005)
    raise SystemExit("the server did not start")


@contextlib.contextmanager
def started(
    command: list[str], port: int, model: str
) -> Iterator[tuple[float, subprocess.Popen[bytes]]]:
    """Run a server for the block; yields the seconds until its model was ready, and its process."""
    quiet, variables = subprocess.DEVNULL, environment(command[0])
    begun = time.perf_counter()
    child = subprocess.Popen(command, env=variables, stdout=quiet, stderr=quiet)
    try:
        wait_ready(port, f"/v2/models/{model}/ready", child)
        yield time.perf_counter() - begun, child
    finally:
        child.terminate()
        child.wait(60)


def environment(python: str) -> dict[str, str]:
    """Let Triton's python backend find the library of the interpreter whose modules it imports."""
    ask = "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))"
    folder = subprocess.check_output([python, "-c", ask], text=True).strip()
    return {**os.environ, "LD_LIBRARY_PATH": folder}


def simam_serve(path: Path, http: int, grpc: int) -> list[str]:
    ports = ["--http-port", str(http), "--grpc-port", str(grpc)]
    options = ["--max-batch-size", str(BATCH), "--threads", "1"]
    return [sys.executable, "-m", "simam_deploy", "serve", str(path), *ports, *options]
