"""Tell which files each command walks through, and how often it changes from one to another.

Each walk is a `simam` command on the digits checkpoint, in a process of its own with every Python
call watched, in all threads and in the processes that it starts itself. A file counts where a
function of it was called, not where it was merely imported; a room is a file or folder at the top
of the package; a move is a pair of files of which one called into the other. Of the server only
what answers one request is counted.

    python scripts/walks.py          the package in the working folder; a minute or two
"""

from __future__ import annotations

import atexit
import contextlib
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType

import numpy as np

ROOT = Path(__file__).parent.parent
CHECKPOINT = next((ROOT / "examples").glob("digits-*/model_best.pth.tar"))
PATIENCE = 300
"""Seconds until the server is taken for dead; it is ready in some ten."""
HOOK = "import runpy; runpy.run_path({script!r})['Watch']({package!r}, {folder!r}).begin()\n"
"""A sitecustomize.py: Python runs it at the start of every process that finds it."""


class Watch:
    """Notes each call into a file of the package, and at the end of the process writes them down.

    SIGUSR1 begins anew and SIGUSR2 ends it, for a server that is asked one thing.

    Args:
        package: The package's folder.
        folder: Where each process leaves its notes.
    """

    def __init__(self, package: str, folder: str) -> None:
        self._package = f"{package}{os.sep}"
        self._folder = folder
        self._names: dict[CodeType, str | None] = {}
        self._calls: set[tuple[str, str]] = set()
        self._watching = True

    def begin(self) -> None:
        """Watch this thread and all that start from now on."""
        atexit.register(self._write)
        signal.signal(signal.SIGUSR1, lambda *_: self._calls.clear())
        signal.signal(signal.SIGUSR2, lambda *_: self._stop())
        threading.setprofile(self._note)
        sys.setprofile(self._note)

    def _stop(self) -> None:
        self._watching = False

    def _write(self) -> None:
        sys.setprofile(None)
        notes = Path(self._folder) / f"{os.getpid()}.json"
        notes.write_text(json.dumps(sorted(self._calls)))

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or not self._watching:
            return
        callee = self._own(frame.f_code)
        if callee and _is_function(frame.f_code):
            caller = self._caller(frame)
            if caller is not None:
                self._calls.add((caller, callee))

    def _caller(self, frame: FrameType) -> str | None:
        """Name the nearest file of ours that called, "" where none did; None while one imports."""
        nearest = ""
        above = frame.f_back
        while above is not None:
            name = self._own(above.f_code)
            if name and not _is_function(above.f_code):
                if above.f_globals.get("__name__") != "__main__":
                    return None
            elif name and not nearest:
                nearest = name
            above = above.f_back
        return nearest

    def _own(self, code: CodeType) -> str | None:
        """Name a code object's file, relative to the package; None where it is another's."""
        if code not in self._names:
            inside = code.co_filename.startswith(self._package)
            self._names[code] = code.co_filename[len(self._package) :] if inside else None
        return self._names[code]


def _is_function(code: CodeType) -> bool:
    """Modules and the bodies of classes keep their names in dictionaries, functions do not."""
    return bool(code.co_flags & inspect.CO_OPTIMIZED)


class Walks:
    """Runs commands and prints what each walked through.

    Args:
        folder: An empty one, for the hook and for what the commands write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._package = Path.cwd() / "simam_deploy"
        self._notes = folder / "notes"
        self._environment = {**os.environ, "PYTHONPATH": str(folder), "XDG_CACHE_HOME": str(folder)}
        script = str(Path(__file__).resolve())
        hook = HOOK.format(script=script, package=str(self._package), folder=str(self._notes))
        (folder / "sitecustomize.py").write_text(hook)

    def walk(self, title: str, *arguments: object) -> None:
        """Run a command to its end; one that fails ends this script with its words."""
        with self._watched(title), self._running(*arguments) as process:
            _, words = process.communicate()
        if process.returncode:
            raise SystemExit(f"{title} failed:\n{words}")

    def ask(self, title: str, model: Path, image: np.ndarray) -> None:
        """Serve a model and ask it once."""
        port = _free_port()
        command = ("serve", f"m={model}", "--http-port", port, "--no-grpc", "--quiet")
        tensor = {"name": "input", "shape": image.shape, "datatype": "FP32"}
        body = {"inputs": [{**tensor, "data": image.ravel().tolist()}]}
        url = f"http://127.0.0.1:{port}/v2"
        with self._watched(title), self._running(*command) as process:
            _wait_for(f"{url}/health/ready", process)
            process.send_signal(signal.SIGUSR1)
            answer = _post(f"{url}/models/m/infer", body)
            process.send_signal(signal.SIGUSR2)
            process.send_signal(signal.SIGTERM)
            process.communicate()
        assert answer["outputs"], answer

    @contextlib.contextmanager
    def _watched(self, title: str) -> Iterator[None]:
        """Print what is noted in the block."""
        self._notes.mkdir()
        yield
        calls: set[tuple[str, str]] = set()
        for file in self._notes.iterdir():
            calls |= {(caller, callee) for caller, callee in json.loads(file.read_text())}
            file.unlink()
        self._notes.rmdir()
        _show(title, calls)

    def _running(self, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "simam_deploy", *map(str, arguments)]
        return subprocess.Popen(
            command,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )


def _show(title: str, calls: set[tuple[str, str]]) -> None:
    files = sorted({callee for _, callee in calls})
    rooms = {file.partition("/")[0].removesuffix(".py") for file in files}
    moves = {(caller, callee) for caller, callee in calls if caller and caller != callee}
    print(f"{title}: {len(files)} files, {len(rooms)} rooms, {len(moves)} moves")
    for file in files:
        print(f"    {file}")
    print(flush=True)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(url).close()  # noqa: S310 - our own server
            return
        time.sleep(0.1)
    process.kill()
    _, words = process.communicate()
    raise SystemExit(f"the server is not ready:\n{words}")


def _post(url: str, body: object) -> dict[str, object]:
    request = urllib.request.Request(url, json.dumps(body).encode())  # noqa: S310 - our own server
    with urllib.request.urlopen(request) as response:  # noqa: S310
        answer: dict[str, object] = json.load(response)
    return answer


def _digits(manifest: Path) -> np.ndarray:
    """Give scikit-learn's digits as the network takes them."""
    from sklearn.datasets import load_digits

    from predict_digits import network_input

    stated = json.loads(manifest.read_text())["preprocessing"]
    return network_input(load_digits().images, stated["mean"], stated["std"])


def _has_rtx() -> bool:
    try:
        import tensorrt_rtx  # noqa: F401
    except ImportError:
        return False
    return True


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        walks, model = Walks(folder), folder / "digits.onnx"
        walks.walk("export", "export", CHECKPOINT, "-o", model)
        images = _digits(model.with_suffix(".json"))
        samples = folder / "samples.npz"
        np.savez(samples, images=images)
        if _has_rtx():
            walks.walk("build", "build", model, "-o", folder / "digits.engine", "--backend", "rtx")
        walks.walk("validate", "validate", CHECKPOINT, model)
        walks.walk("inspect", "inspect", model)
        walks.ask("one served request", model, images[:1])
        half, int8 = folder / "half.onnx", folder / "int8.onnx"
        walks.walk("export fp16", "export", CHECKPOINT, "-o", half, "--precision", "fp16")
        calibrated = ("--precision", "int8", "--calibration-data", samples)
        walks.walk("export int8", "export", CHECKPOINT, "-o", int8, *calibrated)


if __name__ == "__main__":
    main()
