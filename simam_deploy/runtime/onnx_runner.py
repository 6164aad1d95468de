"""Runs an ONNX file in ONNX Runtime."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from simam_deploy.core.arrays import Array, Feeds, numpy_type
from simam_deploy.core.specs import TensorSpec, numpy_name
from simam_deploy.errors import InputError
from simam_deploy.graph.file.contents import with_data
from simam_deploy.op.find import find_operators
from simam_deploy.runtime.protocol import Closing


def require_onnxruntime() -> None:
    """Check, before any long work, that ONNX Runtime is there.

    Raises:
        InputError: It is not; the message says which package to install.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise InputError(
            "ONNX Runtime is missing: pip install 'simam-deploy[cpu]', or 'simam-deploy[gpu]' "
            "where there is an NVIDIA GPU (one of the two, never both)"
        )


PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}
"""Execution providers by a short name: the one meant, and those for what it does not take."""


def providers_of(name: str) -> tuple[str, ...]:
    """Give execution providers by their short name; of "auto", CUDA's where they are, else the CPU.

    Raises:
        InputError: ONNX Runtime is missing.
    """
    if name != "auto":
        return PROVIDERS[name]
    require_onnxruntime()
    import onnxruntime as ort

    there = PROVIDERS["cuda"][0] in ort.get_available_providers()
    return PROVIDERS["cuda" if there else "cpu"]


def _operators(providers: tuple[str, ...]) -> Path | None:
    """Find the library for providers: the CPU's alone would take nodes off a GPU."""
    named = (name for name, several in PROVIDERS.items() if several == providers)
    return find_operators(next(named, ""))


_WEIGHTS_KEY = "session.optimized_model_external_initializers_file_name"
_BFLOAT16 = 16
"""ONNX's number of the type."""
_KERNEL = "_kernel_time"
"""Behind a node's name, where ONNX Runtime says what its kernel took."""
LONGEST_RUN = 300.0
"""Seconds that a file run as it is written may take for one case. A ResNet-152 at 224 takes 0.3 on
a core; a Loop in somebody's file may have no end."""


def weights_of(graph: Path) -> Path:
    """Name the file of an optimised graph's weights; there is none where all are below 1 KiB."""
    return graph.with_suffix(".weights")


class OnnxRunner(Closing):
    """An ONNX Runtime session.

    Args:
        path: The .onnx file; its external data, if any, lies beside it.
        providers: Execution providers in order of preference.
        as_written: Run the graph as it stands in the file, once per case: without the fusions
            and layout changes that depend on the machine, by the bodies of its functions even
            where there are operators for them, and without an arena that keeps memory between
            runs. A ResNet-50 then takes 180 MB instead of 270 MB. A run ends
            after `LONGEST_RUN`.
        threads: Threads that a run computes with; they sleep between runs instead of spinning,
            so that a server's other work gets the cores. By default as many as there are cores.
        profile: A folder in which what every node of every run took is noted; `profiled` reads it.
        contents: The file's bytes, already read, by its name, and those of every file of its
            external data by its location; nothing is opened then.
        optimised: Whether the graph is what an earlier runner wrote by `write_optimised`: it is
            taken as it is.
        write_optimised: Where to write the graph as it was made fit for this machine; its weights
            go into a file beside it, `weights_of` says which, that a later session maps.

    Raises:
        InputError: ONNX Runtime is missing, does not take the file, or lacks the first provider.
    """

    def __init__(
        self,
        path: Path,
        providers: tuple[str, ...] = PROVIDERS["cpu"],
        *,
        as_written: bool = False,
        threads: int | None = None,
        profile: Path | None = None,
        contents: Mapping[str, bytes] | None = None,
        optimised: bool = False,
        write_optimised: Path | None = None,
    ) -> None:
        require_onnxruntime()
        import onnxruntime as ort

        _check_provider(providers[0], ort.get_available_providers())
        options = ort.SessionOptions()
        # Nothing but its end: what fails is raised too, and the log shows names as they stand.
        options.log_severity_level = 4
        if as_written:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
            options.enable_cpu_mem_arena = False
        if optimised:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        if write_optimised is not None:
            options.optimized_model_filepath = str(write_optimised)
            options.add_session_config_entry(_WEIGHTS_KEY, weights_of(write_optimised).name)
        if threads is not None:
            options.intra_op_num_threads = threads
        if threads is not None or as_written:
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if profile is not None:
            options.enable_profiling, options.profile_file_prefix = True, str(profile / "nodes")
        operators = None if as_written else _operators(providers)
        try:
            if operators is not None:
                options.register_custom_ops_library(str(operators))
            model = str(path) if contents is None else _from_memory(options, path, contents)
            self._session = ort.InferenceSession(model, options, providers=list(providers))
        except Exception as error:  # its error types derive from Exception alone
            raise InputError(
                f"ONNX Runtime does not take {path.name}: {_refusal(error)}"
            ) from error
        # To open it anew by other providers, when one fails, it would keep the file's bytes as long
        # as it lives; it is to fail instead.
        self._session.disable_fallback()
        self._session._model_bytes = None
        _check_provider(providers[0], self._session.get_providers())
        self._longest = LONGEST_RUN if as_written else None
        self.stopped = False
        self.name = f"ONNX Runtime {ort.__version__} ({self._session.get_providers()[0]})"
        self.inputs = tuple(_spec(arg) for arg in self._session.get_inputs())
        self.outputs = tuple(_spec(arg) for arg in self._session.get_outputs())
        self._has_bfloat16 = any(s.dtype == "bfloat16" for s in (*self.inputs, *self.outputs))

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Compute every output, keyed by name.

        Raises:
            InputError: The model does not run on these inputs, or for too long; `stopped` tells.
        """
        names = [spec.name for spec in self.outputs]
        try:
            with self._bounded() as how:
                results = self._results(names, feeds, how)
        except Exception as error:  # its error types derive from Exception alone
            if self.stopped:
                raise InputError(_endless(str(error), self._longest)) from error
            raise InputError(f"ONNX Runtime fails on this input: {_first_line(error)}") from error
        return dict(zip(names, results, strict=True))

    def _results(self, names: list[str], feeds: Feeds, how: Any) -> list[Array]:
        """Run; bfloat16, which the binding does not take from NumPy or give to it, as its bits."""
        if not self._has_bfloat16:
            results: list[Array] = self._session.run(names, dict(feeds), how)
            return results
        values = {name: _value(array) for name, array in feeds.items()}
        return [_array(v) for v in self._session.run_with_ort_values(names, values, how)]

    @contextlib.contextmanager
    def _bounded(self) -> Iterator[Any]:
        """Yield options for one run, which a thread ends when it is too long."""
        import onnxruntime as ort

        if self._longest is None:
            yield None
            return
        how = ort.RunOptions()

        def stop() -> None:
            self.stopped = how.terminate = True

        timer = threading.Timer(self._longest, stop)
        timer.start()
        try:
            yield how
        finally:
            timer.cancel()
            timer.join()

    def profiled(self) -> list[dict[str, Any]]:
        """End profiling, and give the events of nodes, in order: "name", "dur" (us) and "args"."""
        events = json.loads(Path(self._session.end_profiling()).read_text())
        kernels = (e for e in events if e.get("cat") == "Node" and e["name"].endswith(_KERNEL))
        return [{**event, "name": event["name"].removesuffix(_KERNEL)} for event in kernels]

    def close(self) -> None:
        """Free the session and its copy of the weights."""
        del self._session


def _from_memory(options: Any, path: Path, contents: Mapping[str, bytes]) -> bytes:
    """Have a session copy the external data out of memory; give the model's bytes.

    Before 1.24 none can: then the data go with these bytes.
    """
    data = {name: content for name, content in contents.items() if name != path.name}
    if data and not hasattr(options, "add_external_initializers_from_files_in_memory"):
        return with_data(contents[path.name], data)
    if data:
        sizes = [len(content) for content in data.values()]
        options.add_external_initializers_from_files_in_memory(
            list(data), list(data.values()), sizes
        )
    return contents[path.name]


def _value(array: Array) -> Any:
    """Give an array as a value of ONNX Runtime's; one of bfloat16 shares its memory."""
    import numpy as np
    import onnxruntime as ort

    if array.dtype.name != "bfloat16":
        return ort.OrtValue.ortvalue_from_numpy(array)
    bits = np.ascontiguousarray(array).view(np.uint16)
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, _BFLOAT16)


def _array(value: Any) -> Array:
    """Copy a value of ONNX Runtime's into an array."""
    import ctypes

    import numpy as np

    if value.data_type() != "tensor(bfloat16)":
        array: Array = value.numpy()
        return array
    bits = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return np.frombuffer(bits, numpy_type("bfloat16")).reshape(value.shape())


def _check_provider(wanted: str, there: Sequence[str]) -> None:
    """Refuse to run elsewhere than asked: ONNX Runtime itself only warns and takes the CPU.

    Raises:
        InputError: The provider is not there.
    """
    if wanted not in there:
        raise InputError(
            f"ONNX Runtime has no {wanted} here, only {', '.join(there)}: it wants an NVIDIA GPU, "
            "its driver, and pip install 'simam-deploy[gpu]'"
        )


def _spec(arg: Any) -> TensorSpec:
    """Read a session's input or output; an unnamed dynamic dimension becomes `?`."""
    element = arg.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple("?" if dim is None else dim for dim in arg.shape)
    return TensorSpec(arg.name, numpy_name(element), shape)


def _endless(said: str, seconds: float | None) -> str:
    """Name the node that ONNX Runtime was in when it was stopped."""
    node = re.search(r"running (\w+) node\. Name:'([^']*)'", said)
    where = f" at {node[1]} node {node[2]!r}" if node else ""
    return (
        f"ONNX Runtime was stopped{where} after {seconds:g} s of one run: a Loop that has no end, "
        "or far more to compute than this machine can; export it with a number of turns"
    )


_ENGINE = re.compile(r"EPContext node generated by '([^']*)'")


def _refusal(error: Exception) -> str:
    """Say why a file is not taken; of an engine made for another provider, what it is."""
    engine = _ENGINE.search(str(error))
    if engine is None:
        return _first_line(error)
    return (
        f"it is an engine in an EPContext node, which {engine[1]} alone runs: take the .onnx that "
        "it was made of, or its plan"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
