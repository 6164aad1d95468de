"""Start, signals, drain: a server from its first line to its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from simam_deploy.core.caveats import caveats
from simam_deploy.errors import InputError
from simam_deploy.serve.allocator import return_large_blocks
from simam_deploy.serve.http.app import App
from simam_deploy.serve.http.connection import guarded
from simam_deploy.serve.http.encryption import encryption_of
from simam_deploy.serve.http.ending import end_connections
from simam_deploy.serve.http.listening import BACKLOG, Listener
from simam_deploy.serve.http.routes import make_routes
from simam_deploy.serve.http.senders import Senders
from simam_deploy.serve.models.repository import Repository
from simam_deploy.serve.models.shared import Shared
from simam_deploy.serve.protocol.address import netloc
from simam_deploy.serve.protocol.refusals import Refusal
from simam_deploy.serve.settings import Settings

if TYPE_CHECKING:
    from simam_deploy.serve.grpc.listener import Listener as GrpcListener
    from simam_deploy.serve.watch.watch import Watch

Say = Callable[[str], None]
_SWITCH = 1e-4
"""Seconds that a thread which wants the interpreter waits before it is given it; Python's own 5 ms
let a model that has computed wait for the loop to write its last batch's answers: over the digits
network HTTP is 1.06 and gRPC 1.2 times as fast (scripts/bench/serving_versions.py)."""
_TAKEN_IN = 0.3
"""Seconds for which listening goes on all the same, for what was sent before the signal and has not
been read: of 4,583 such requests under load gRPC refused 16 without."""
_LEAST = 1.0
"""Seconds that models have to be freed in, however long the requests took."""


class Server:
    """A server that runs in the current event loop.

    Args:
        sources: The file of every model's name.
        settings: Its limits.
        say: Told what happens, in a few words.
    """

    def __init__(
        self, sources: Mapping[str, Path], settings: Settings, say: Say = lambda line: None
    ) -> None:
        self.repository = Repository(sources, settings)
        self.app = App(self.repository, make_routes(self.repository), Senders(settings))
        self.http_port = settings.http_port
        self.grpc_port = settings.grpc_port
        self._settings = settings
        self._say = say
        self._stop = asyncio.Event()
        self.ended = False
        self._watch = _watch(settings)
        self._encryption = encryption_of(settings.certificate, settings.private_key)
        self._http = uvicorn.Server(self._http_config())
        self._grpc = _grpc_listener(self.repository, self._watch)
        self._reloads = Shared(asyncio.Lock(), self._reload)

    def _http_config(self) -> uvicorn.Config:
        s = self._settings
        config = uvicorn.Config(
            self.app if self._watch is None else self._watch.http(self.app),
            http=guarded(s),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",  # its warnings are clients' faults
            access_log=False,
            server_header=False,
            proxy_headers=False,
        )
        config.load()
        return config

    async def run(self) -> None:
        """Listen, load, serve until `stop` or a signal, drain.

        Raises:
            InputError: A model cannot be used or a port is taken.
        """
        with _signals(self.stop, self.reload):
            try:
                await self._listen()
                await self.repository.load_all()
                for name in self.repository.models:
                    self._warn(name)
                self._say(f"ready: {', '.join(self.repository.models)}")
                await self._stop.wait()
            finally:
                await self._drain()

    def stop(self) -> None:
        """Begin to drain; called again, let go of what is in flight."""
        if self._stop.is_set():
            self._http.force_exit = True
        self._stop.set()

    def reload(self) -> None:
        """Load every model anew, one after the other; nothing once the end has begun."""
        if not self._stop.is_set():
            self._reloads.request()

    async def _reload(self) -> None:
        for name in list(self.repository.models):
            if self._stop.is_set():
                return
            try:
                await self.repository.load(name)
                self._say(f"reloaded {name}")
                self._warn(name)
            except Refusal as refusal:
                self._say(f"{refusal}; the version before goes on")

    def _warn(self, name: str) -> None:
        """Repeat what a model's manifest says against it, and how it was loaded."""
        model = self.repository.models[name]
        for caveat in (*caveats(model.facts), *([model.note] if model.note else [])):
            self._say(f"{name}: {caveat}")

    async def _listen(self) -> None:
        """Listen before the models are loaded: probes are answered "alive, not ready"."""
        s = self._settings
        loop = asyncio.get_running_loop()
        sock = await asyncio.to_thread(_bound_socket, s.host, s.http_port)
        self.http_port = sock.getsockname()[1]
        self._listener = Listener(self._http, sock, s, self._encryption)
        await self._listener.start()
        self._ticks = loop.create_task(self._http.main_loop())
        scheme = "http" if s.certificate is None else "https"
        self._say(f"HTTP on {scheme}://{netloc(s.host, self.http_port)}")
        if self._grpc is not None:
            await self._grpc.start()
            self.grpc_port = self._grpc.port
            self.repository.after_load = self._grpc.fit
            self._say(f"gRPC on {netloc(s.host, self.grpc_port)}")

    async def _drain(self) -> None:
        """Say "not ready", then stop listening, then answer what is in flight, then end."""
        self.repository.draining = True
        if self._stop.is_set():
            await asyncio.sleep(self._settings.drain_delay)
        end = time.monotonic() + self._settings.drain_timeout
        if self._stop.is_set():
            await asyncio.sleep(_TAKEN_IN)
        if self._grpc is not None:
            grpc_done = asyncio.ensure_future(self._grpc.stop(max(0.0, end - time.monotonic())))
            await asyncio.sleep(0)
        if self._http.started:
            self._http.should_exit = True
            await self._ticks
            self._listener.close()
            await end_connections(self._http, end - time.monotonic())
        if self._grpc is not None:
            await grpc_done
        await self._free(max(_LEAST, end - time.monotonic()))
        if self._watch is not None:
            await asyncio.to_thread(self._watch.close)

    async def _free(self, seconds: float) -> None:
        """Free the models, but do not wait for ever for one that computes what nobody waits for."""
        await self._reloads.close()
        freeing = asyncio.ensure_future(self.repository.close())
        await asyncio.wait({freeing}, timeout=seconds)
        self.ended = freeing.done()
        if not self.ended:
            self._say("a model still computes, for nobody: it is cut off")


def _bound_socket(host: str, port: int) -> socket.socket:
    """Bind.

    Raises:
        InputError: The address cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # asyncio turns Nagle's algorithm off, which costs 40 ms an answer, only where a socket says
        # that it is TCP; those of socket.create_server do not.
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
            sock.listen(BACKLOG)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        raise InputError(
            f"cannot listen for HTTP on {netloc(host, port)}: {error.strerror}"
        ) from error
    return sock


def _watch(settings: Settings) -> Watch | None:
    """Make what looks at requests, if anybody wants to be told: others start without its imports.

    Raises:
        InputError: The access log cannot be written.
    """
    if not settings.access_log and settings.traces is None:
        return None
    from simam_deploy.serve.watch.watch import Watch

    return Watch(settings)


def _grpc_listener(repository: Repository, watch: Watch | None) -> GrpcListener | None:
    """Make what listens for gRPC, if it is to: others start without its imports.

    Raises:
        InputError: The certificate cannot be used.
    """
    if repository.settings.grpc_port is None:
        return None
    from simam_deploy.serve.grpc.listener import Listener

    return Listener(repository, [] if watch is None else [watch.grpc()])


@contextlib.contextmanager
def _signals(stop: Callable[[], None], reload: Callable[[], None]) -> Iterator[None]:
    """Drain on SIGTERM and Ctrl-C, reload on SIGHUP; where signals can be had: the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    wanted = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
    for number, action in wanted.items():
        loop.add_signal_handler(number, action)
    try:
        yield
    finally:
        for number in wanted:
            loop.remove_signal_handler(number)


def serve(sources: Mapping[str, Path], settings: Settings, say: Say) -> bool:
    """Serve until a signal ends it; blocks.

    Args:
        sources: The file of every model's name.
        settings: The server's limits.
        say: Told what happens, in a few words.

    Returns:
        Whether all threads have ended. Where a model still computes, the process is to end without
        the interpreter's own end, which ONNX Runtime's thread would abort.

    Raises:
        InputError: A model cannot be used or a port is taken.
        UsageError: The provider asked for is not there.
    """
    return_large_blocks()
    sys.setswitchinterval(_SWITCH)
    server = _run_server(sources, settings, say)
    try:
        import uvloop
    except ImportError:  # not on every platform
        return asyncio.run(server)
    return bool(uvloop.run(server))


async def _run_server(sources: Mapping[str, Path], settings: Settings, say: Say) -> bool:
    server = Server(sources, settings, say)
    gc.freeze()  # what was imported stays: to look it all through again takes 20 to 30 ms
    await server.run()
    return server.ended
