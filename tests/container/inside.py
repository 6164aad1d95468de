"""Plays a container's life, inside: starts, is asked, is told to end; says as JSON what it saw.

    python inside.py ENTRY HEALTH TOKEN MODEL SHAPE

ENTRY, HEALTH and the SHAPE of what MODEL is asked about are lists in JSON.
"""

import contextlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

SERVER = "http://127.0.0.1:8000"


def main(entry: str, health: str, token: str, model: str, shape: str) -> None:
    probe, seen = json.loads(health), {"user": os.getuid(), "written": written()}
    with (
        subprocess.Popen(json.loads(entry), stderr=subprocess.PIPE, text=True) as server,
        ended(server),
    ):
        seen["at once"] = subprocess.run(probe, capture_output=True).returncode
        seen["ready"] = wait(server, probe)
        if seen["ready"] == 0:
            seen["without token"] = ask(f"/v2/models/{model}", {})[0]
            seen["answered"] = infer(model, json.loads(shape), f"Bearer {token}")
        server.terminate()
        seen["said"] = server.communicate(timeout=60)[1]
        seen["ended"] = server.returncode
    files = [each for each in Path("/tmp").iterdir() if each.is_file()]
    seen["left"] = sorted(each.name for each in (*files, *Path("/tmp/cache").glob("*")))
    print(json.dumps(seen))


@contextlib.contextmanager
def ended(server: subprocess.Popen[str]) -> Iterator[None]:
    """Wait for no server of a life that failed."""
    try:
        yield
    finally:
        server.kill()


def written() -> list[str]:
    """Give the places that can be written to."""
    places = ("/", "/models", "/run/secrets", "/usr", "/tmp", str(Path(__file__).parent))
    return [place for place in places if os.access(place, os.W_OK)]


def wait(server: subprocess.Popen[str], probe: list[str]) -> int:
    """Probe until it is well, or ended, or two minutes have gone; give the last answer."""
    deadline = time.monotonic() + 120
    code = 1
    while code and server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
        code = subprocess.run(probe, capture_output=True).returncode
    return code


def infer(model: str, shape: list[int], authorization: str) -> list[object]:
    headers = {"Authorization": authorization}
    (told,) = json.loads(ask(f"/v2/models/{model}", headers)[1])["inputs"]
    data = [0.5] * math.prod(shape)
    tensor = {"name": told["name"], "datatype": "FP32", "shape": shape, "data": data}
    asked = json.dumps({"inputs": [tensor]})
    status, answer = ask(f"/v2/models/{model}/infer", headers, asked)
    return [status, *(each["shape"] for each in json.loads(answer).get("outputs", ()))]


def ask(path: str, headers: dict[str, str], body: str | None = None) -> tuple[int, bytes]:
    try:
        request = Request(SERVER + path, body and body.encode(), headers)
        with urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
