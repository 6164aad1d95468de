"""A fake TensorRT: see README.md."""

import ctypes
import enum
import functools
import inspect
import json
import os
import sys
import time
from pathlib import Path

_RECORDED = json.loads(
    (Path(__file__).parent.parent / "bindings" / f"{os.environ['FAKE_TENSORRT']}.json").read_text()
)
__version__ = _RECORDED["version"]


def _enum(name):
    return enum.IntEnum(name, {m: i for i, m in enumerate(_RECORDED["enums"][name])})


BuilderFlag = _enum("BuilderFlag")
DataType = _enum("DataType")
HardwareCompatibilityLevel = _enum("HardwareCompatibilityLevel")
LayerInformationFormat = _enum("LayerInformationFormat")
MemoryPoolType = _enum("MemoryPoolType")
NetworkDefinitionCreationFlag = _enum("NetworkDefinitionCreationFlag")
ProfilingVerbosity = _enum("ProfilingVerbosity")
TensorIOMode = _enum("TensorIOMode")
TensorLocation = _enum("TensorLocation")


def _signature(names):
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    empty = inspect.Parameter.empty
    return inspect.Signature(
        [
            inspect.Parameter(n.rstrip("?"), kind, default=None if n.endswith("?") else empty)
            for n in names
        ]
    )


def _checked(of, name, overloads, behaviour):
    signatures = [_signature(names) for names in overloads]

    @functools.wraps(behaviour)
    def method(self, *args, **kwargs):
        for signature in signatures:
            try:
                signature.bind(*args, **kwargs)
            except TypeError:
                continue
            return behaviour(self, *args, **kwargs)
        raise TypeError(f"{of}.{name}{args}{kwargs}: incompatible arguments, there is {signatures}")

    return method


def _recorded(cls):
    """Give a class exactly the members that the recording has; what it does not do, fails."""
    members = _RECORDED["classes"][cls.__name__]
    extra = {n for n in vars(cls) if not n.startswith("_")} - members.keys() - {"Severity"}
    assert not extra, f"{cls.__name__} {__version__} has no {extra}"
    settable = {name for name, value in members.items() if value is True}

    def set_member(self, name, value):
        ours = type(self) is not cls  # a class derived here may have members of its own
        if not (ours or name.startswith("_") or name in settable):
            raise AttributeError(f"{cls.__name__} {__version__} has no settable {name}")
        object.__setattr__(self, name, value)

    for name, value in members.items():
        if isinstance(value, list) and name in vars(cls):
            setattr(cls, name, _checked(cls.__name__, name, value, vars(cls)[name]))
    cls.__setattr__ = set_member
    return cls


@_recorded
class ILogger:
    Severity = _enum("ILogger.Severity")

    def __init__(self):
        pass

    def log(self, severity, msg):
        raise NotImplementedError


@_recorded
class IProgressMonitor:
    def __init__(self):
        pass


@_recorded
class ITensor:
    def __init__(self, name, dtype, shape):
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "shape", shape)


@_recorded
class INetworkDefinition:
    def __init__(self, flags):
        self._flags = flags
        self._model = {}
        object.__setattr__(self, "num_inputs", 1)
        object.__setattr__(self, "num_outputs", 1)

    def get_input(self, index):
        return self._tensor("input", "shape")

    def get_output(self, index):
        return self._tensor("output", "gives")

    def _tensor(self, name, shape):
        return ITensor(self._model[name], DataType[self._model["type"]], self._model[shape])


@_recorded
class IOptimizationProfile:
    def __init__(self):
        self._shapes = {}

    def set_shape(self, input, min, opt, max):
        self._shapes[input] = [list(min), list(opt), list(max)]


@_recorded
class ITimingCache:
    def __init__(self, content):
        self._content = content

    def serialize(self):
        return self._content + b"+timed"


@_recorded
class IBuilderConfig:
    def __init__(self):
        # TF32 is on until it is cleared, as in the library.
        self._facts = {"flags": ["TF32"], "profiles": [], "pools": {}, "monitored": False}
        self.plugins_to_serialize = []

    def clear_flag(self, flag):
        self._facts["flags"].remove(flag.name)

    def set_memory_pool_limit(self, pool, pool_size):
        self._facts["pools"][pool.name] = int(pool_size)

    def add_optimization_profile(self, profile):
        self._facts["profiles"].append(profile._shapes)
        return len(self._facts["profiles"]) - 1

    def create_timing_cache(self, serialized_timing_cache):
        return ITimingCache(bytes(serialized_timing_cache))

    def set_timing_cache(self, cache, ignore_mismatch):
        self._cache = cache
        return True

    def get_timing_cache(self):
        return self._cache


@_recorded
class IPluginRegistry:
    def load_library(self, plugin_path):
        return object() if Path(plugin_path).read_bytes() == b"plugin" else None


@_recorded
class Builder:
    def __init__(self, logger):
        self._logger = logger

    def create_network(self, flags=0):
        return INetworkDefinition(flags)

    def create_builder_config(self):
        return IBuilderConfig()

    def create_optimization_profile(self):
        return IOptimizationProfile()

    def get_plugin_registry(self):
        return IPluginRegistry()

    def build_serialized_network(self, network, config):
        assert network._flags & 1 << int(NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        monitor = config.progress_monitor
        monitor.phase_start("Building engine", None, 2)
        monitor.phase_start("Timing", "Building engine", 3)
        assert monitor.step_complete("Timing", 0)
        monitor.phase_finish("Timing")
        monitor.phase_finish("Building engine")
        self._logger.log(ILogger.Severity.WARNING, "a warning of the library")
        if os.environ.get("FAKE_BUILD") == "abort":
            os.write(2, b"terminate called without an active exception\n")
            os.abort()
        if os.environ.get("FAKE_BUILD") == "tell":  # where the child tells its parent
            os.write(int(sys.argv[5]), os.environ["FAKE_TOLD"].encode())
        if os.environ.get("FAKE_BUILD") == "tell and abort":
            os.write(int(sys.argv[5]), os.environ["FAKE_TOLD"].encode())
            os.abort()
        if os.environ.get("FAKE_BUILD") == "shout":
            os.write(1, b"\xff{not JSON\n" * 10_000)
        if os.environ.get("FAKE_BUILD") == "slow":
            time.sleep(60)
        if os.environ.get("FAKE_BUILD") == "none":
            self._logger.log(ILogger.Severity.ERROR, "Error Code 10: no implementation for node c")
            return None
        facts = {
            **config._facts,
            "io": network._model,
            "plugins": config.plugins_to_serialize,
            "verbosity": config.profiling_verbosity.name,
            "level": getattr(config, "hardware_compatibility_level", None),
        }
        return b"ftrt" + json.dumps(facts).encode()


@_recorded
class ParserError:
    def desc(self):
        return "no importer for node x"

    def node_name(self):
        return "x"

    def node_operator(self):
        return "Strange"


@_recorded
class OnnxParser:
    def __init__(self, network, logger):
        self._network = network
        object.__setattr__(self, "num_errors", 0)

    def parse_from_file(self, model):
        import onnx

        proto = onnx.load(model)
        x, y = (v[0].type.tensor_type for v in (proto.graph.input, proto.graph.output))
        half = any(t.data_type == onnx.TensorProto.FLOAT16 for t in proto.graph.initializer)
        casts = [a.i for node in proto.graph.node for a in node.attribute if a.name == "to"]
        bfloat = "BFloat16" if onnx.TensorProto.BFLOAT16 in casts else ""
        quantised = any(node.op_type == "QuantizeLinear" for node in proto.graph.node)
        if any(node.op_type == "Strange" for node in proto.graph.node):
            object.__setattr__(self, "num_errors", 2)
            return False
        self._network._model.update(
            {
                "input": proto.graph.input[0].name,
                "output": proto.graph.output[0].name,
                "shape": [d.dim_value or -1 for d in x.shape.dim],
                "gives": [d.dim_value or -1 for d in y.shape.dim],
                "type": {1: "FLOAT", 10: "HALF"}[x.elem_type],
                "precision": "Int8" if quantised else "Half" if half else bfloat or "Float",
            }
        )
        return True

    def get_error(self, index):
        return ParserError()


@_recorded
class EngineInspector:
    def __init__(self, facts):
        self._facts = facts

    def get_engine_information(self, format):
        kind = self._facts["io"]["precision"]
        tensor = {"Name": "x", "Format/Datatype": f"Row major linear {kind}"}
        product = {
            "Name": "conv",
            "LayerType": "CaskConvolution",
            "Inputs": [tensor],
            "Outputs": [{**tensor, "Name": "c"}],
            "Metadata": "[ONNX Layer: conv]",
        }
        layers = [product]
        if self._facts["plugins"]:
            layers.append(
                {"Name": "s", "LayerType": "PluginV3", "Inputs": product["Outputs"], "Outputs": []}
            )
        return json.dumps({"Layers": layers, "I/O Tensors": []})


@_recorded
class IExecutionContext:
    def __init__(self, engine, config=None):
        self._engine = engine
        self._shape = None
        self._addresses = {}
        self._cache = None if config is None else config._cache

    def set_optimization_profile_async(self, profile_index, stream_handle):
        self._profile = profile_index
        return True

    def set_input_shape(self, name, shape):
        low, _, high = self._engine.get_tensor_profile_shape(name, self._profile)
        if not all(a <= n <= b for a, n, b in zip(low, shape, high, strict=True)):
            return False
        self._shape = tuple(shape)
        return True

    def get_tensor_shape(self, name):
        io = self._engine._facts["io"]
        alike = name == io["input"] or len(io["gives"]) == len(self._shape)
        return self._shape if alike else (self._shape[0], *io["gives"][1:])

    def set_tensor_address(self, name, memory):
        self._addresses[name] = memory
        return True

    def _compile(self):
        """TensorRT-RTX finishes a kernel when it first runs, if its runtime cache has none."""
        if self._cache is not None and self._shape not in self._cache._kernels:
            self._engine._compiled.append(self._shape)
            self._cache._kernels.append(self._shape)

    if "is_stream_capturable" in _RECORDED["classes"]["IExecutionContext"]:

        def is_stream_capturable(self, stream):
            return True

    def execute_async_v3(self, stream_handle):
        import numpy as np
        from cuda.bindings import runtime

        self._compile()
        io = self._engine._facts["io"]
        dtype = {"FLOAT": np.float32, "HALF": np.float16}[io["type"]]
        rows = self._shape[0]
        x, y = (
            np.frombuffer(
                (ctypes.c_byte * (int(np.prod(shape)) * np.dtype(dtype).itemsize)).from_address(
                    self._addresses[io[which]]
                ),
                dtype,
            ).reshape(rows, -1)
            for which, shape in (
                ("input", self._shape),
                ("output", self.get_tensor_shape(io["output"])),
            )
        )
        runtime.enqueue(stream_handle, lambda: np.multiply(x[:, : y.shape[1]], 2, out=y))
        return True


if "IRuntimeCache" in _RECORDED["classes"]:

    @_recorded
    class IRuntimeCache:
        def __init__(self):
            self._kernels = []

        def serialize(self):
            return json.dumps({"by": __version__, "kernels": self._kernels}).encode()

        def deserialize(self, blob):
            try:
                held = json.loads(blob)
            except ValueError:
                return False
            if held["by"] != __version__:
                return False
            self._kernels = [tuple(shape) for shape in held["kernels"]]
            return True

    @_recorded
    class IRuntimeConfig:
        def __init__(self):
            self._cache = None

        def create_runtime_cache(self):
            return IRuntimeCache()

        def set_runtime_cache(self, cache=None):
            self._cache = cache
            return True


@_recorded
class ICudaEngine:
    def __init__(self, facts):
        self._facts = facts
        self._compiled = []
        object.__setattr__(self, "num_io_tensors", 2)
        object.__setattr__(self, "num_optimization_profiles", max(1, len(facts["profiles"])))

    def get_tensor_name(self, index):
        return self._facts["io"][("input", "output")[index]]

    def get_tensor_mode(self, name):
        inputs = name == self._facts["io"]["input"]
        return TensorIOMode.INPUT if inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name):
        return DataType[self._facts["io"]["type"]]

    def get_tensor_location(self, name):
        return TensorLocation.DEVICE

    def get_tensor_shape(self, name):
        io = self._facts["io"]
        return io["shape" if name == io["input"] else "gives"]

    def get_tensor_profile_shape(self, name, profile_index):
        shape = self._facts["io"]["shape"]
        profiles = self._facts["profiles"] or [{name: [shape] * 3}]
        return profiles[profile_index][name]

    def create_execution_context(self, runtime_config=None):
        return IExecutionContext(self, runtime_config)

    if "create_runtime_config" in _RECORDED["classes"]["ICudaEngine"]:

        def create_runtime_config(self):
            return IRuntimeConfig()

    def create_engine_inspector(self):
        return EngineInspector(self._facts)


@_recorded
class Runtime:
    def __init__(self, logger):
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine):
        content = bytes(serialized_engine)
        try:
            return ICudaEngine(json.loads(content[len(b"ftrt") :]))
        except ValueError:
            self._logger.log(ILogger.Severity.ERROR, "Error Code 1: Serialization failed")
            return None
