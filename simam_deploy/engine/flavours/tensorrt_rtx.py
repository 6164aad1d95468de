"""TensorRT-RTX: builds ahead of time, for the GPUs named, without one."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from simam_deploy.engine.request import BuildRequest
from simam_deploy.errors import UsageError
from simam_deploy.graph.detect import LOOPS

_LIBRARY = "libtensorrt_rtx.so"


class TensorRTRTX:
    """The flavour `tensorrt_rtx`."""

    name = "tensorrt_rtx"
    title = "TensorRT-RTX"
    backend = "rtx"
    since = (1, 5)
    below = (2, 0)
    install = "pip install 'simam-deploy[rtx]'"
    builds_ahead = True
    compiles_when_run = True
    detection = LOOPS

    def check(self, request: BuildRequest) -> None:
        """Refuse a timing cache, which the library ignores.

        Raises:
            UsageError: One was given.
        """
        if request.timing_cache is not None:
            raise UsageError(
                "TensorRT-RTX times nothing while it builds: leave the file of timings out, or "
                "take TensorRT",
                options=("timing_cache", "backend"),
            )

    def configure(self, trt: Any, config: Any, request: BuildRequest) -> None:
        """Set the compute capabilities.

        Raises:
            UsageError: The library does not know one of them.
        """
        config.num_compute_capabilities = len(request.targets)
        for index, target in enumerate(request.targets):
            config.set_compute_capability(_capability(trt, target), index)

    def finish(self, config: Any, request: BuildRequest) -> None:
        """Leave nothing behind."""

    def environment(self, folder: str) -> dict[str, str]:
        """Let the library be found under the name that its parser opens.

        At the first plugin node the parser opens `libtensorrt_rtx.so`; the wheel holds only
        `libtensorrt_rtx.so.1`, and the process ends by abort.
        """
        spec = importlib.util.find_spec("tensorrt_rtx_libs")
        for place in spec.submodule_search_locations or () if spec else ():
            for library in sorted(Path(place).glob(f"{_LIBRARY}.*")):
                link = Path(folder) / _LIBRARY
                link.unlink(missing_ok=True)
                link.symlink_to(library)
                known = os.environ.get("LD_LIBRARY_PATH")
                return {"LD_LIBRARY_PATH": f"{folder}:{known}" if known else folder}
        return {}

    def target_names(self, asked: tuple[str, ...]) -> tuple[str, ...]:
        """Repeat what was asked; "default" for the library's own choice."""
        return asked or ("default",)


def _capability(trt: Any, target: str) -> Any:
    known = trt.ComputeCapability.__members__
    if target.upper() not in known:
        names = ", ".join(name.lower() for name in known if name != "NONE")
        raise UsageError(
            f"TensorRT-RTX {trt.__version__} does not build for {target}, only {names}",
            options=("targets",),
        )
    return known[target.upper()]
