"""Runs a TensorRT or TensorRT-RTX plan on the GPU."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.specs import Profile, ShapeRange, TensorSpec
from simam_deploy.engine.flavours.choose import FLAVOURS, load_library
from simam_deploy.engine.plan.manifest import read_manifest
from simam_deploy.engine.plan.preflight import check_plan, flavour_of
from simam_deploy.engine.run.cuda import Stream, require_gpu
from simam_deploy.engine.run.lane import Lane
from simam_deploy.errors import EngineError, InputError
from simam_deploy.op.find import find_plugin
from simam_deploy.runtime.gpu import find_gpus
from simam_deploy.runtime.protocol import Closing

if TYPE_CHECKING:
    import torch

Shapes = Mapping[str, tuple[int, ...]]

_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": "bfloat16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "BOOL": "bool",
}
"""numpy's and torch's names for TensorRT's types."""


class TensorRTRunner(Closing):
    """A plan on the current device, with a stream of its own.

    Buffers on the device are kept between runs and grow as needed; from its second run on, each
    set of shapes is replayed as one CUDA graph. Calls from several threads take turns: for
    runs side by side, `fork` it. Its manifest is in `facts`.

    Args:
        path: The plan; its manifest lies beside it.
        trust: Load it without its manifest's word: a plan can run code.
        cuda_graph: Whether graphs are used.

    Raises:
        EngineError: There is no GPU, the plan does not fit its manifest or this machine, or the
            library does not take it.
    """

    def __init__(self, path: Path, *, trust: bool = False, cuda_graph: bool = True) -> None:
        require_gpu()
        self._engine = _Engine(path, trust)
        self._cuda_graph = cuda_graph
        self._start()

    def _start(self) -> None:
        self.name = self._engine.name
        self.facts = self._engine.facts
        self.inputs = self._engine.inputs
        self.outputs = self._engine.outputs
        self.profiles = self._engine.profiles
        self._stream = Stream()
        self._lanes: dict[int, Lane] = {}
        self._turn = threading.Lock()

    def fork(self) -> TensorRTRunner:
        """Give a runner of the same engine, its weights shared, with a stream of its own."""
        other = TensorRTRunner.__new__(TensorRTRunner)
        other._engine = self._engine
        other._cuda_graph = self._cuda_graph
        other._start()
        return other

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Compute every output, keyed by name, from arrays in host memory.

        Args:
            feeds: One array per input, of its dtype; bfloat16 is ml_dtypes'.

        Raises:
            InputError: An input is missing, unknown, of another dtype, or its shape is outside
                every profile.
            EngineError: TensorRT or CUDA fails.
        """
        arrays = {name: np.ascontiguousarray(array) for name, array in feeds.items()}
        self._check({name: (str(a.dtype), a.shape) for name, a in arrays.items()})
        addresses = {name: a.ctypes.data for name, a in arrays.items()}
        results: dict[str, Array] = {}

        def make(spec: TensorSpec, shape: tuple[int, ...]) -> int:
            results[spec.name] = np.empty(shape, _numpy(spec.dtype))
            return results[spec.name].ctypes.data

        self._compute({name: a.shape for name, a in arrays.items()}, addresses, make)
        return results

    def run_torch(self, feeds: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Compute every output, keyed by name, on the device of the first input.

        Args:
            feeds: One tensor per input, of its dtype, on the host or on this runner's device.

        Raises:
            InputError: As for `run`.
            EngineError: TensorRT or CUDA fails.
        """
        import torch

        tensors = {name: tensor.detach().contiguous() for name, tensor in feeds.items()}
        self._check(
            {n: (str(t.dtype).removeprefix("torch."), tuple(t.shape)) for n, t in tensors.items()}
        )
        device = tensors[self.inputs[0].name].device
        if device.type == "cuda":
            torch.cuda.current_stream(device).synchronize()  # what makes the inputs may still run
        results: dict[str, torch.Tensor] = {}

        def make(spec: TensorSpec, shape: tuple[int, ...]) -> int:
            results[spec.name] = torch.empty(shape, dtype=getattr(torch, spec.dtype), device=device)
            return results[spec.name].data_ptr()

        addresses = {name: tensor.data_ptr() for name, tensor in tensors.items()}
        self._compute({n: tuple(t.shape) for n, t in tensors.items()}, addresses, make)
        return results

    def latencies(self, shapes: Shapes, runs: int, warm_up: int = 10) -> list[float]:
        """Time the engine alone, in milliseconds a run: without copies from and to the host.

        Args:
            shapes: One full shape per input.
            runs: How many to time.
            warm_up: How many before.
        """
        with self._turn:
            lane = self._lane(shapes)
            lane.shape(shapes)
            times = []
            for _ in range(warm_up + runs):
                started = time.perf_counter()
                lane.execute()
                self._stream.wait()
                times.append(1e3 * (time.perf_counter() - started))
        return times[warm_up:]

    def close(self) -> None:
        """Free the buffers and graphs; the engine goes with its last runner."""
        with self._turn:
            for lane in self._lanes.values():
                lane.close()
            self._lanes.clear()
            self._stream.close()

    def _check(self, given: Mapping[str, tuple[str, tuple[int, ...]]]) -> None:
        wanted = {spec.name: spec for spec in self.inputs}
        if given.keys() != wanted.keys():
            raise InputError(
                f"{self.name} takes inputs {', '.join(wanted)}; got {', '.join(given) or 'none'}"
            )
        for name, (dtype, _) in given.items():
            if dtype != wanted[name].dtype:
                raise InputError(f"input {wanted[name]} was given as {dtype}")

    def _compute(
        self, shapes: Shapes, sources: Mapping[str, int], make: Callable[..., int]
    ) -> None:
        """Copy in, execute, copy out, wait; `make` gives the address of an output's memory."""
        with self._turn:
            lane = self._lane(shapes)
            found = lane.shape(shapes)
            for name, address in sources.items():
                lane.read(name, address)
            lane.execute()
            for spec in self.outputs:
                lane.write(spec.name, make(spec, found[spec.name]))
            self._stream.wait()

    def _lane(self, shapes: Shapes) -> Lane:
        """Give the lane of the first profile that holds the shapes.

        Raises:
            InputError: None does.
        """
        index = _profile_for(self.profiles, shapes)
        if index not in self._lanes:
            self._lanes[index] = self._engine.lane(index, self._stream, self._cuda_graph)
        return self._lanes[index]


def _profile_for(profiles: tuple[Profile, ...], shapes: Shapes) -> int:
    for index, profile in enumerate(profiles):
        if all(r.holds(tuple(shapes[r.name])) for r in profile):
            return index
    given = ", ".join(f"{name} {_x(shape)}" for name, shape in shapes.items())
    offered = "; ".join(
        ", ".join(f"{r.name} {_x(r.min)} to {_x(r.max)}" for r in profile) for profile in profiles
    )
    raise InputError(
        f"{given} is outside of what the engine was built for ({offered}): build it for others",
        options=("min_shapes", "max_shapes"),
    )


def _x(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _numpy(dtype: str) -> Any:
    if dtype == "bfloat16":
        import ml_dtypes

        return ml_dtypes.bfloat16
    return np.dtype(dtype)


class _Engine:
    """A deserialised plan: what its runners share."""

    def __init__(self, path: Path, trust: bool) -> None:
        self.facts = _facts(path, trust)
        self._flavour = flavour_of(path) if trust else FLAVOURS[self.facts["flavour"]]
        trt = self._trt = load_library(self._flavour)
        self._words: list[str] = []
        # The engine needs the runtime, and the runtime its logger, for as long as it lives.
        self._runtime = trt.Runtime(_logger(trt, self._words))
        # A plan with a plugin carries the library: the manifest's hash, or trust, vouches for it.
        self._runtime.engine_host_code_allowed = True
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise EngineError(f"{self._flavour.title} does not take {path.name}: {self._said()}")
        self.name = f"{self._flavour.title} {trt.__version__} ({path.name})"
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        modes = {name: self._engine.get_tensor_mode(name) for name in names}
        self.inputs, self.outputs = (
            tuple(self._spec(name) for name in names if modes[name] == mode)
            for mode in (trt.TensorIOMode.INPUT, trt.TensorIOMode.OUTPUT)
        )
        count = self._engine.num_optimization_profiles
        self.profiles = tuple(tuple(map(self._range, self.inputs, [i] * len(self.inputs)))
                              for i in range(count))  # fmt: skip

    def _spec(self, name: str) -> TensorSpec:
        kind = self._engine.get_tensor_dtype(name).name
        if kind not in _DTYPES:
            raise EngineError(f"{name} is of TensorRT's type {kind}, which numpy does not have")
        if self._engine.get_tensor_location(name) != self._trt.TensorLocation.DEVICE:
            raise EngineError(f"{name} is a shape held on the host, which this runner cannot feed")
        dims = tuple("?" if d == -1 else int(d) for d in self._engine.get_tensor_shape(name))
        return TensorSpec(name, _DTYPES[kind], dims)

    def _range(self, spec: TensorSpec, profile: int) -> ShapeRange:
        shapes = self._engine.get_tensor_profile_shape(spec.name, profile)
        return ShapeRange(spec.name, *(tuple(int(d) for d in shape) for shape in shapes))

    def lane(self, profile: int, stream: Stream, cuda_graph: bool) -> Lane:
        """Open an execution context for one profile."""
        context = self._engine.create_execution_context()
        if context is None or not context.set_optimization_profile_async(profile, stream.handle):
            raise EngineError(f"{self.name} opens no execution context: {self._said()}")
        if cuda_graph and self._flavour.name == "tensorrt_rtx":
            cuda_graph = context.is_stream_capturable(stream.handle)
        sizes = {s.name: _size(s.dtype) for s in (*self.inputs, *self.outputs)}
        return Lane(context, stream, sizes, cuda_graph, self._said)

    def _said(self) -> str:
        return self._words[-1] if self._words else "it does not say why"


def _facts(path: Path, trust: bool) -> Mapping[str, Any]:
    """Preflight a plan and give its manifest; of a trusted one, the manifest that it may have."""
    if not trust:
        return check_plan(path, find_gpus().devices[0], find_plugin)
    try:
        return read_manifest(path)
    except EngineError:
        return {}


def _size(dtype: str) -> int:
    """Bytes of an element."""
    return int(np.dtype(_numpy(dtype)).itemsize)


def _logger(trt: Any, words: list[str]) -> Any:
    """Make an ILogger that keeps what the library says of its errors."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                words.append(" ".join(msg.split()))
                del words[:-20]

    return Logger()
