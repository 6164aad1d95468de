"""Runs a TensorRT or TensorRT-RTX plan on the GPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simam_deploy.core.arrays import Array, Feeds, numpy_type
from simam_deploy.core.specs import Profile, Shapes, TensorSpec
from simam_deploy.engine.run.cuda import Stream, require_gpu
from simam_deploy.engine.run.engine import Engine
from simam_deploy.engine.run.lane import Lane
from simam_deploy.errors import InputError
from simam_deploy.runtime.protocol import Closing

if TYPE_CHECKING:
    import torch


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
        self._engine = Engine(path, trust)
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
            results[spec.name] = np.empty(shape, numpy_type(spec.dtype))
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
        """Time the engine alone, in milliseconds a run by the device: without copies from the host.

        Args:
            shapes: One full shape per input.
            runs: How many to time.
            warm_up: How many before.
        """
        with self._turn:
            lane = self._lane(shapes)
            lane.shape(shapes)
            times = [self._stream.timed(lane.execute) for _ in range(warm_up + runs)]
        return times[warm_up:]

    def close(self) -> None:
        """Free the buffers and graphs; the engine goes with its last runner."""
        self._engine.keep_compiled()
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
