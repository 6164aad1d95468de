"""The models by name: loaded, replaced without a gap, unloaded.

Names come from requests, paths never do: what can be loaded was named, or lay in a folder that was
named, when the server started.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from simam_deploy.errors import SimamError
from simam_deploy.serve.aside.helper import Helper
from simam_deploy.serve.models.decoders import Decoders
from simam_deploy.serve.models.model import Model, load_model
from simam_deploy.serve.models.shared import Shared
from simam_deploy.serve.protocol.refusals import (
    INTERNAL,
    BadRequest,
    Busy,
    ModelFailed,
    NotFound,
    Refusal,
)
from simam_deploy.serve.protocol.room import Room
from simam_deploy.serve.settings import Settings

_log = logging.getLogger(__name__)


class Repository:
    """What is served, and what all requests share, whatever carries them.

    Args:
        sources: The file of every name.
        settings: Of the server.

    Attributes:
        after_load: Called where other models are served than before.
    """

    def __init__(self, sources: Mapping[str, Path], settings: Settings) -> None:
        self.sources = dict(sources)
        self.settings = settings
        self.room = Room(settings.max_buffered)
        self.decoders = Decoders()
        self.helper = Helper()
        self.models: dict[str, Model] = {}
        self.reasons: dict[str, str] = {}
        self.after_load: Callable[[], Awaitable[None]] = _nothing
        self.loaded = False
        self.draining = False
        self._versions = dict.fromkeys(sources, 0)
        self._changing = {name: asyncio.Lock() for name in sources}
        self._changes: set[asyncio.Task[None]] = set()
        self._loads = {
            name: Shared(self._changing[name], functools.partial(self._load, name))
            for name in sources
        }
        self._closed = False

    async def load_all(self) -> None:
        """Load every model; ready from then on.

        Raises:
            InputError: One cannot be used.
        """
        for name in self.sources:
            await self._loads[name].ask()
        await self.after_load()
        self.loaded = True

    @property
    def ready(self) -> bool:
        """True from the last warm-up to the signal to end."""
        return self.loaded and not self.draining

    def get(self, name: str, version: str = "") -> Model:
        """Find a loaded model.

        Raises:
            NotFound: There is none of that name and version.
        """
        model = self.models.get(name)
        if model is None:
            self._check_known(name)
            raise NotFound(f"model '{name}' is not loaded: {self.reasons.get(name, 'unloaded')}")
        if version not in ("", model.version):
            raise NotFound(
                f"Request for unknown model: '{name}' version {version!r:.20} is not found; "
                f"version {model.version} is served"
            )
        return model

    def _check_known(self, name: str) -> None:
        if name not in self.sources:
            raise NotFound(f"Request for unknown model: {name!r:.80} is not found")

    async def load(self, name: str) -> None:
        """Load a model anew; the version before serves until the new one is warm, and to its end.

        Those who ask while it is being loaded share one more load, however many they are.

        Raises:
            NotFound: There is no such name.
            BadRequest: The file cannot be used; what was loaded before stays.
            ModelFailed: It failed as nobody foresaw; what was loaded before stays.
            Busy: The server is ending.
        """
        self._check_known(name)
        self._check_open()
        try:
            await self._loads[name].ask()
        except SimamError as error:
            raise BadRequest(f"failed to load '{name}': {error}") from error
        except Refusal:
            raise
        except Exception as error:
            raise ModelFailed(f"failed to load '{name}': {INTERNAL}") from error

    async def _to_the_end(self, change: Coroutine[Any, Any, None]) -> None:
        """Await a change that goes on if its asker goes away."""
        task = asyncio.ensure_future(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        await asyncio.shield(task)

    def _check_open(self) -> None:
        if self._closed or self.draining:
            raise Busy("the server is ending")

    async def _load(self, name: str) -> None:
        self._check_open()
        version = str(self._versions[name] + 1)
        try:
            new = await asyncio.to_thread(
                load_model, name, self.sources[name], version, self.settings
            )
        except Exception as error:
            foreseen = isinstance(error, SimamError)
            self.reasons[name] = str(error) if foreseen else INTERNAL
            if not foreseen:  # a bug of ours: logged whole, once, however many wait for it
                _log.exception("loading %s failed", name)
            raise
        self._versions[name] += 1
        self.reasons.pop(name, None)
        old, self.models[name] = self.models.get(name), new
        if old is not None:
            await asyncio.to_thread(old.close)
        if self.loaded:
            await self.after_load()

    async def unload(self, name: str) -> None:
        """Stop serving a model once what it accepted is answered.

        Raises:
            NotFound: There is no such name.
        """
        self._check_known(name)
        self._loads[name].part()
        await self._to_the_end(self._unload(name))

    async def _unload(self, name: str) -> None:
        async with self._changing[name]:
            model = self.models.pop(name, None)
            self.reasons[name] = "unloaded"
            if model is not None:
                await _ended(model.close)

    def check_loaded(self) -> None:
        """See whether the server takes requests; while it drains it does.

        Raises:
            Busy: It is starting.
        """
        if not self.loaded:
            raise Busy("the server is not ready")

    async def close(self) -> None:
        """Answer what is queued and free every model, those that are being loaded too."""
        self._closed = True
        for loads in self._loads.values():
            await loads.close()
        for name in self.sources:  # each waits for the change of its model that is under way
            await self.unload(name)
        await self.decoders.close()
        await self.helper.close()


async def _nothing() -> None:
    """Do nothing, as nobody asked to."""


async def _ended(close: Callable[[], None]) -> None:
    """Await the end of a model in a thread that the process's own end does not wait for."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def work() -> None:
        try:
            close()
        finally:
            with contextlib.suppress(RuntimeError):  # the loop has ended before
                loop.call_soon_threadsafe(ended.set_result, None)

    threading.Thread(target=work, name="ending", daemon=True).start()
    await ended
