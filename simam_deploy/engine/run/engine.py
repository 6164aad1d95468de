"""A plan that is loaded: what it takes and gives, and what its runners share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simam_deploy.core.arrays import numpy_type
from simam_deploy.core.files import read_whole
from simam_deploy.core.specs import ELEMENTS, ShapeRange, TensorSpec
from simam_deploy.engine.flavours.choose import FLAVOURS, load_library
from simam_deploy.engine.plan.manifest import read_manifest
from simam_deploy.engine.plan.preflight import check_plan, flavour_of
from simam_deploy.engine.run.compiled import Compiled
from simam_deploy.engine.run.cuda import Stream
from simam_deploy.engine.run.lane import Lane
from simam_deploy.errors import EngineError, InputError
from simam_deploy.op.find import find_plugin
from simam_deploy.runtime.gpu import find_gpus

_NAMES = {element.tensorrt: element.name for element in ELEMENTS if element.tensorrt}


class Engine:
    """A deserialised plan.

    Args:
        path: The plan; its manifest lies beside it.
        trust: Load it without its manifest's word.

    Raises:
        EngineError: It does not fit its manifest or this machine, or the library does not take it.
    """

    def __init__(self, path: Path, trust: bool) -> None:
        content = _content(path)
        self.facts = _facts(path, trust, content)
        self._flavour = flavour_of(path) if trust else FLAVOURS[self.facts["flavour"]]
        trt = self._trt = load_library(self._flavour)
        self._words: list[str] = []
        # The engine needs the runtime, and the runtime its logger, for as long as it lives.
        self._runtime = trt.Runtime(_logger(trt, self._words))
        # A plan with a plugin carries the library: the manifest's hash, or trust, vouches for it.
        self._runtime.engine_host_code_allowed = True
        self._engine = self._runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            raise EngineError(f"{self._flavour.title} does not take {path.name}: {self._said()}")
        self.name = f"{self._flavour.title} {trt.__version__} ({path.name})"
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        modes = {name: self._engine.get_tensor_mode(name) for name in names}
        self.inputs, self.outputs = (
            tuple(self._spec(name) for name in names if modes[name] == mode)
            for mode in (trt.TensorIOMode.INPUT, trt.TensorIOMode.OUTPUT)
        )
        self._compiled = self._kept(content) if self._flavour.compiles_when_run else None
        count = self._engine.num_optimization_profiles
        self.profiles = tuple(tuple(map(self._range, self.inputs, [i] * len(self.inputs)))
                              for i in range(count))  # fmt: skip

    def _kept(self, content: bytes) -> Compiled:
        plan, gpu = hashlib.sha256(content).hexdigest(), find_gpus().devices[0]
        by = [self._flavour.name, self._trt.__version__]
        return Compiled(self._engine, {"plan": plan, "by": by, "gpu": [gpu.name, gpu.sm]})

    def keep_compiled(self) -> None:
        """Keep the kernels that the library compiled here, for the next start."""
        if self._compiled is not None:
            self._compiled.keep()

    def _spec(self, name: str) -> TensorSpec:
        kind = self._engine.get_tensor_dtype(name).name
        if kind not in _NAMES:
            raise EngineError(f"{name} is of TensorRT's type {kind}, which numpy does not have")
        if self._engine.get_tensor_location(name) != self._trt.TensorLocation.DEVICE:
            raise EngineError(f"{name} is a shape held on the host, which this runner cannot feed")
        dims = tuple("?" if d == -1 else int(d) for d in self._engine.get_tensor_shape(name))
        return TensorSpec(name, _NAMES[kind], dims)

    def _range(self, spec: TensorSpec, profile: int) -> ShapeRange:
        shapes = self._engine.get_tensor_profile_shape(spec.name, profile)
        return ShapeRange(spec.name, *(tuple(int(d) for d in shape) for shape in shapes))

    def lane(self, profile: int, stream: Stream, cuda_graph: bool) -> Lane:
        """Open an execution context for one profile."""
        how = {} if self._compiled is None else {"runtime_config": self._compiled.config}
        context = self._engine.create_execution_context(**how)
        if context is None or not context.set_optimization_profile_async(profile, stream.handle):
            raise EngineError(f"{self.name} opens no execution context: {self._said()}")
        if cuda_graph and self._flavour.name == "tensorrt_rtx":
            cuda_graph = context.is_stream_capturable(stream.handle)
        sizes = {s.name: _size(s.dtype) for s in (*self.inputs, *self.outputs)}
        return Lane(context, stream, sizes, cuda_graph, self._said)

    def _said(self) -> str:
        return self._words[-1] if self._words else "it does not say why"


def _content(path: Path) -> bytes:
    """Read a plan once: what is hashed is what is loaded."""
    try:
        return read_whole(path)
    except InputError as error:
        raise EngineError(str(error)) from error.__cause__


def _facts(path: Path, trust: bool, content: bytes) -> Mapping[str, Any]:
    """Preflight a plan and give its manifest; of a trusted one, the manifest that it may have."""
    if not trust:
        return check_plan(path, find_gpus().devices[0], find_plugin, content)
    try:
        return read_manifest(path)
    except EngineError:
        return {}


def _size(dtype: str) -> int:
    """Bytes of an element."""
    return int(np.dtype(numpy_type(dtype)).itemsize)


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
