"""What TensorRT-RTX compiled for a GPU, kept for the next start of the same plan.

A plan of TensorRT-RTX is made ahead of time, and its kernels are finished on the GPU that runs it,
each when it is first needed: the library's runtime cache holds them. What is kept is code that the
next start runs, so it is believed as plans are (`plan.cache_guard`); what another driver, GPU or
version compiled the library refuses by itself. No start fails because of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import threading
from collections.abc import Mapping
from typing import Any

from simam_deploy.core.files import read_whole
from simam_deploy.core.staging import held_folder
from simam_deploy.engine.plan.cache_guard import (
    UntrustedError,
    check_entry,
    kept_folder,
    make_own,
    put_entry,
)
from simam_deploy.errors import InputError

LARGEST = 10**9
"""Bytes of all that is kept; one of the published networks' is a few megabytes."""
_FILE = "kernels.bin"
_log = logging.getLogger(__name__)


class Compiled:
    """The runtime cache of one engine.

    Args:
        engine: An ICudaEngine of TensorRT-RTX.
        depends: What the kernels depend on, as JSON takes it: the plan, the library, the GPU.

    Attributes:
        config: The IRuntimeConfig that execution contexts are made with.
    """

    def __init__(self, engine: Any, depends: Mapping[str, Any]) -> None:
        self.config = engine.create_runtime_config()
        self._cache = self.config.create_runtime_cache()
        key = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()
        self._entry = kept_folder("kernels") / key
        self._turn = threading.Lock()
        self._kept: bytes | None = self._taken()
        self.config.set_runtime_cache(self._cache)

    def _taken(self) -> bytes | None:
        """Load what is kept; None where nothing can be."""
        try:
            make_own(self._entry.parent)
            check_entry(self._entry)
            content = read_whole(self._entry / _FILE)
            os.utime(self._entry)  # by which it is seen when it was last taken
        except UntrustedError as error:
            _log.warning("kernels are compiled anew and not kept: %s", error.strerror)
            return None
        except InputError:  # the first start
            return b""
        except OSError:  # a home that cannot be written to
            return None
        return content if self._cache.deserialize(content) else b""

    def keep(self) -> None:
        """Keep what was compiled since; a cache that takes nothing is none."""
        with self._turn:
            content = b"" if self._kept is None else bytes(self._cache.serialize())
            if content in (b"", self._kept):
                return
            self._kept = content
            with contextlib.suppress(OSError), held_folder(self._entry.parent) as stage:
                part = stage / self._entry.name
                part.mkdir(mode=0o700)
                (part / _FILE).write_bytes(content)
                put_entry(part, self._entry, LARGEST)
