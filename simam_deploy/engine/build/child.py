"""The process that builds: TensorRT can abort it, and then only it.

It gets a request on its command line, tells what it does as lines of JSON on a pipe, writes all
that the library says to a log, and ends with one of the events "done" and "error". `build` reads
these.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from simam_deploy.core.memory import peak_memory
from simam_deploy.engine.build.aot import register_kernels
from simam_deploy.engine.build.events import Tell, teller
from simam_deploy.engine.flavours.choose import FLAVOURS, Flavour, load_library
from simam_deploy.engine.request import BuildRequest
from simam_deploy.errors import EngineError, SimamError
from simam_deploy.op.find import is_kernels
from simam_deploy.runtime.gpu import find_gpus

_BETWEEN_STEPS = 2.0
"""Seconds between two lines on the progress of one phase."""
_DEPTH = 2
"""Phases nested deeper are not told: a ResNet-50 has hundreds."""


def main(request: str, plan: str, log: str, pipe: int) -> None:
    """Build; the parent process calls this in a fresh interpreter.

    Args:
        request: A `BuildRequest` as JSON.
        plan: Where the plan goes.
        log: Where the library's words go.
        pipe: File descriptor for the events.
    """
    # Ctrl-C reaches the whole process group: the parent decides, and ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tell = teller(pipe)
    wanted = BuildRequest.from_json(json.loads(request))
    try:
        with Path(log).open("w", encoding="utf-8", buffering=1) as words:
            _build(wanted, Path(plan), words, tell)
    except SimamError as error:
        options = list(error.options)
        tell("error", {"message": str(error), "exit_code": error.exit_code, "options": options})
    except OSError as error:
        message = f"cannot write {wanted.output.name}: {error.strerror or error}"
        tell("error", {"message": message, "exit_code": EngineError.exit_code, "options": []})


def _build(request: BuildRequest, plan: Path, log: TextIO, tell: Tell) -> None:
    flavour = FLAVOURS[request.flavour]
    trt = load_library(flavour)
    logger = _logger(trt, log, tell)
    builder = trt.Builder(logger)
    # Required by 10, without effect in 11 and RTX, where nothing else is left.
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    config = builder.create_builder_config()
    if request.plugin is not None:
        _load_plugin(trt, builder, config, request.plugin)
    _parse(trt, network, logger, request.onnx)
    types = _types(network)
    _configure(trt, config, request, tell)
    _add_profiles(builder, network, config, request)
    flavour.configure(trt, config, request)
    tell("step", "building the engine")
    serialized = builder.build_serialized_network(network, config)
    _write(serialized, plan, flavour)
    flavour.finish(config, request)
    done = {"version": trt.__version__, "peak_memory": peak_memory() or 0, "types": types}
    tell("done", {**done, "inspection": _inspect(trt, logger, serialized, request)})


def _load_plugin(trt: Any, builder: Any, config: Any, plugin: Path) -> None:
    """Register the plugin's creators and have the plan carry the library, or kernels alone.

    Raises:
        EngineError: The library does not load, or the kernels are not the plugin's.
    """
    if is_kernels(plugin):
        register_kernels(plugin)
        return
    if builder.get_plugin_registry().load_library(str(plugin)) is None:
        raise EngineError(f"plugin {plugin} does not load in TensorRT {trt.__version__}")
    config.plugins_to_serialize = [str(plugin)]


def _parse(trt: Any, network: Any, logger: Any, onnx: Path) -> None:
    """Read the graph.

    Raises:
        EngineError: TensorRT does not take it; its words for the first node.
    """
    parser = trt.OnnxParser(network, logger)
    if parser.parse_from_file(str(onnx)):
        return
    error = parser.get_error(0) if parser.num_errors else None
    if error is None:
        raise EngineError(f"TensorRT does not take {onnx.name}, and does not say why")
    more = f" (and {parser.num_errors - 1} more)" if parser.num_errors > 1 else ""
    where = f" at node {error.node_name()} ({error.node_operator()})" if error.node_name() else ""
    raise EngineError(f"TensorRT does not take {onnx.name}{where}: {error.desc()}{more}")


def _types(network: Any) -> dict[str, str]:
    """Name the types of inputs and outputs: TensorRT has no double, and takes it for float."""
    inputs = (network.get_input(i) for i in range(network.num_inputs))
    outputs = (network.get_output(i) for i in range(network.num_outputs))
    return {tensor.name: tensor.dtype.name for tensor in (*inputs, *outputs)}


def _configure(trt: Any, config: Any, request: BuildRequest, tell: Tell) -> None:
    config.progress_monitor = _monitor(trt, tell)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # or the inspector is blind
    if not request.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    if request.workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, request.workspace << 20)


def _add_profiles(builder: Any, network: Any, config: Any, request: BuildRequest) -> None:
    """Add the profiles.

    Raises:
        EngineError: One does not fit the inputs.
    """
    for ranges in request.profiles:
        profile = builder.create_optimization_profile()
        for r in ranges:
            profile.set_shape(r.name, r.min, r.opt, r.max)
        if config.add_optimization_profile(profile) < 0:
            raise EngineError(f"TensorRT does not take the profile {ranges}")


def _write(serialized: Any, plan: Path, flavour: Flavour) -> None:
    """Write the plan.

    Raises:
        EngineError: There is none; the library's reason is in the log.
        OSError: The disk is full.
    """
    if serialized is None:
        raise EngineError(f"{flavour.title} could not build the engine")
    with plan.open("wb") as file:
        file.write(memoryview(serialized))
        os.fsync(file.fileno())


def _inspect(trt: Any, logger: Any, serialized: Any, request: BuildRequest) -> str:
    """Give the engine inspector's JSON where there is a device that takes the plan, else ""."""
    if not find_gpus().devices:
        return ""
    runtime = trt.Runtime(logger)
    if request.plugin is not None and not is_kernels(request.plugin):
        runtime.engine_host_code_allowed = True  # the plan carries the plugin
    engine = runtime.deserialize_cuda_engine(memoryview(serialized))
    if engine is None:
        return ""
    form = trt.LayerInformationFormat.JSON
    return str(engine.create_engine_inspector().get_engine_information(form))


def _logger(trt: Any, log: TextIO, tell: Tell) -> Any:
    """Make an ILogger that writes all but the smallest talk, and tells errors and warnings."""
    severity = trt.ILogger.Severity
    told = {
        severity.INTERNAL_ERROR: "failure",
        severity.ERROR: "failure",
        severity.WARNING: "warning",
    }

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            if severity != trt.ILogger.Severity.VERBOSE:
                log.write(f"{severity.name}: {msg}\n")
            if severity in told:
                tell(told[severity], msg)

    return Logger()


def _monitor(trt: Any, tell: Tell) -> Any:
    """Make an IProgressMonitor that tells the outer phases."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.phases: dict[str, tuple[int, int]] = {}
            self.told = time.monotonic()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            depth = self.phases[parent_phase][0] + 1 if parent_phase in self.phases else 0
            self.phases[phase_name] = depth, num_steps
            if 0 < depth <= _DEPTH:
                tell("step", f"building the engine: {phase_name}")

        def step_complete(self, phase_name: str, step: int) -> bool:
            depth, steps = self.phases.get(phase_name, (_DEPTH + 1, 0))
            if depth <= _DEPTH and time.monotonic() - self.told > _BETWEEN_STEPS:
                self.told = time.monotonic()
                tell("step", f"building the engine: {phase_name}, {step + 1} of {steps}")
            return True

        def phase_finish(self, phase_name: str) -> None:
            self.phases.pop(phase_name, None)

    return Monitor()


def command(request: BuildRequest, plan: Path, log: Path, pipe: int) -> Iterator[str]:
    """Give the command line of this process.

    The child gets its parent's search path, not one with the working directory in front: a
    folder named `tensorrt` there would be taken for the library.
    """
    yield sys.executable
    yield "-c"
    yield (
        "import sys; sys.path[:] = sys.argv[1].split(chr(10)); "
        "from simam_deploy.engine.build.child import main; "
        "main(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))"
    )
    yield "\n".join(sys.path)
    yield json.dumps(request.to_json())
    yield from (str(plan), str(log), str(pipe))
