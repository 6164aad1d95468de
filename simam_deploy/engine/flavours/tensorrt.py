"""TensorRT 10.9 and later: builds on the GPU that it builds for."""

from __future__ import annotations

from typing import Any

from simam_deploy.engine.request import BuildRequest
from simam_deploy.errors import UsageError
from simam_deploy.graph.detect import STANDARD

AMPERE_PLUS = "ampere+"
"""TensorRT's hardware compatibility level for one plan on every GPU from sm80 on."""
_AMPERE = 80


class TensorRT:
    """The flavour `tensorrt`. Its `IBuilderConfig` is alike in 10.9 to 11.4 in what is used here.

    10.9 is the first whose ONNX parser looks plugins up by the node's domain and prefers them to
    a function of the same name.
    """

    name = "tensorrt"
    title = "TensorRT"
    backend = "tensorrt"
    since = (10, 9)
    below = (12, 0)
    install = "pip install 'simam-deploy[tensorrt-cu13]' (or tensorrt-cu12, by the driver's CUDA)"
    builds_ahead = False
    compiles_when_run = False
    detection = STANDARD

    def check(self, request: BuildRequest) -> None:
        """Refuse targets other than this machine's GPU, or all from sm80 on.

        Raises:
            UsageError: TensorRT can not build for these.
        """
        targets = request.targets
        if targets in ((), ("current",)):
            return
        if "current" in targets or any(int(t.removeprefix("sm")) < _AMPERE for t in targets):
            raise _refused(targets)
        if len(targets) == 1:
            raise _refused(targets)

    def configure(self, trt: Any, config: Any, request: BuildRequest) -> None:
        """Set hardware compatibility for a set of targets, and load the timing cache.

        Raises:
            OSError: The timing cache cannot be read.
        """
        if self.target_names(request.targets) == (AMPERE_PLUS,):
            config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
        if request.timing_cache is not None:
            known = request.timing_cache.read_bytes() if request.timing_cache.exists() else b""
            # A cache of another version or GPU is not taken, and the build goes on without it.
            config.set_timing_cache(config.create_timing_cache(known), False)

    def finish(self, config: Any, request: BuildRequest) -> None:
        """Write the timing cache, whole or not at all.

        Raises:
            OSError: It cannot be written.
        """
        if request.timing_cache is not None:
            part = request.timing_cache.with_name(f"{request.timing_cache.name}.part")
            part.write_bytes(memoryview(config.get_timing_cache().serialize()))
            part.replace(request.timing_cache)

    def environment(self, folder: str) -> dict[str, str]:
        """Need nothing: the wheel's libraries bear the names that are asked for."""
        return {}

    def target_names(self, asked: tuple[str, ...]) -> tuple[str, ...]:
        """Say "current", or "ampere+" for a set."""
        return ("current",) if asked in ((), ("current",)) else (AMPERE_PLUS,)


def _refused(targets: tuple[str, ...]) -> UsageError:
    return UsageError(
        f"TensorRT builds on the GPU that it builds for, got {','.join(targets)}: take current, "
        "several from sm80 on (then it runs on all of those), or TensorRT-RTX",
        options=("targets", "backend"),
    )
