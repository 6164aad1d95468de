"""One CUDA stream, and the few calls on it that a runner needs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from simam_deploy.errors import EngineError
from simam_deploy.runtime.gpu import find_gpus


def require_gpu() -> None:
    """Check, before any long work, that there is a GPU.

    Raises:
        EngineError: There is none; the message says why.
    """
    gpus = find_gpus()
    if not gpus.devices:
        raise EngineError(f"a TensorRT engine runs on an NVIDIA GPU alone: {gpus.reason}")


class Stream:
    """A stream of the current device: memory, copies and graphs.

    Raises:
        EngineError: CUDA refuses a call; so does every method.
    """

    def __init__(self) -> None:
        from cuda.bindings import runtime

        self._cuda = runtime
        self._stream = self._checked(
            runtime.cudaStreamCreateWithFlags(runtime.cudaStreamNonBlocking)
        )
        self.handle = int(self._stream)

    def allocate(self, size: int) -> int:
        """Give the address of `size` bytes on the device."""
        return int(self._checked(self._cuda.cudaMalloc(size)))

    def free(self, address: int) -> None:
        """Give memory back."""
        self._checked(self._cuda.cudaFree(address))

    def copy(self, target: int, source: int, size: int) -> None:
        """Copy bytes between any two of host and device; the driver tells which by the address."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDefault
        self._checked(self._cuda.cudaMemcpyAsync(target, source, size, kind, self._stream))

    def wait(self) -> None:
        """Wait until all is done that was asked of the stream."""
        self._checked(self._cuda.cudaStreamSynchronize(self._stream))

    def capture(self, work: Callable[[], None]) -> Any:
        """Record what `work` asks of the stream, without doing it, as a graph to launch."""
        cuda = self._cuda
        # Thread-local: what other threads do with CUDA meanwhile does not end the capture.
        mode = cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._checked(cuda.cudaStreamBeginCapture(self._stream, mode))
        try:
            work()
        finally:
            graph = self._checked(cuda.cudaStreamEndCapture(self._stream))
        try:
            return self._checked(cuda.cudaGraphInstantiate(graph, 0))
        finally:
            self._checked(cuda.cudaGraphDestroy(graph))

    def launch(self, graph: Any) -> None:
        """Launch a recorded graph."""
        self._checked(self._cuda.cudaGraphLaunch(graph, self._stream))

    def forget(self, graph: Any) -> None:
        """Free a recorded graph."""
        self._checked(self._cuda.cudaGraphExecDestroy(graph))

    def timed(self, work: Callable[[], None]) -> float:
        """Give the milliseconds that the device takes for what `work` asks of the stream.

        By two events around it, whose times are the device's own: neither the host's calls before
        it begins nor the wait for its end are in it.
        """
        with contextlib.ExitStack() as events:
            start, end = (events.enter_context(self._event()) for _ in range(2))
            self._checked(self._cuda.cudaEventRecord(start, self._stream))
            work()
            self._checked(self._cuda.cudaEventRecord(end, self._stream))
            self.wait()
            return float(self._checked(self._cuda.cudaEventElapsedTime(start, end)))

    @contextlib.contextmanager
    def _event(self) -> Iterator[Any]:
        event = self._checked(self._cuda.cudaEventCreate())
        try:
            yield event
        finally:
            self._checked(self._cuda.cudaEventDestroy(event))

    def close(self) -> None:
        """Free the stream."""
        self._checked(self._cuda.cudaStreamDestroy(self._stream))

    def _checked(self, result: tuple[Any, ...]) -> Any:
        """Unpack (error, value)."""
        error, *values = result
        if int(error) != 0:
            _, text = self._cuda.cudaGetErrorString(error)
            raise EngineError(f"CUDA: {text.decode()} ({error.name})")
        return values[0] if values else None
