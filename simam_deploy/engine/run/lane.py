"""One execution context with its profile, buffers and CUDA graphs."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from simam_deploy.core.specs import Shapes
from simam_deploy.engine.run.cuda import Stream
from simam_deploy.errors import EngineError

_GRAPHS = 32
"""Sets of shapes whose graph is kept; the one unused for longest goes."""

_Key = tuple[tuple[str, tuple[int, ...]], ...]


class Lane:
    """Runs one profile of an engine on one stream; not for two threads at a time.

    Args:
        context: An IExecutionContext that is on its profile.
        stream: Where all work goes.
        sizes: Bytes of an element by tensor.
        cuda_graph: Whether a set of shapes becomes a graph at its second run.
        said: Gives the library's last words.
    """

    def __init__(
        self,
        context: Any,
        stream: Stream,
        sizes: Mapping[str, int],
        cuda_graph: bool,
        said: Callable[[], str],
    ) -> None:
        self._context = context
        self._stream = stream
        self._sizes = sizes
        self._cuda_graph = cuda_graph
        self._said = said
        self._buffers: dict[str, tuple[int, int]] = {}
        self._graphs: OrderedDict[_Key, Any] = OrderedDict()
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._key: _Key = ()

    def shape(self, inputs: Shapes) -> dict[str, tuple[int, ...]]:
        """Set the inputs' shapes and make room; gives the shapes of all tensors.

        Raises:
            EngineError: The library refuses a shape, or an output's depends on the data.
        """
        key = tuple((name, tuple(shape)) for name, shape in inputs.items())
        if key != self._key:
            self._key = ()  # what fails below leaves the context between two sets of shapes
            for name, shape in key:
                if not self._context.set_input_shape(name, shape):
                    raise EngineError(f"TensorRT refuses {name} of shape {shape}: {self._said()}")
            self._shapes = {name: self._shape_of(name) for name in self._sizes}
            self._make_room()
            self._key = key
        return self._shapes

    def _shape_of(self, name: str) -> tuple[int, ...]:
        shape = tuple(int(d) for d in self._context.get_tensor_shape(name))
        if any(d < 0 for d in shape):
            raise EngineError(f"the shape of {name} depends on the data, which is not supported")
        return shape

    def _make_room(self) -> None:
        """Grow the buffers that are too small; the graphs that know the old ones go."""
        for name, shape in self._shapes.items():
            needed = max(1, math.prod(shape) * self._sizes[name])
            address, size = self._buffers.get(name, (0, 0))
            if size >= needed:
                continue
            self._forget_graphs()
            if size:
                self._stream.free(address)
                del self._buffers[name]
            self._buffers[name] = self._stream.allocate(needed), needed
            if not self._context.set_tensor_address(name, self._buffers[name][0]):
                raise EngineError(f"TensorRT refuses the memory of {name}: {self._said()}")

    def read(self, name: str, address: int) -> None:
        """Copy an input from anywhere."""
        self._stream.copy(self._buffers[name][0], address, self._bytes(name))

    def write(self, name: str, address: int) -> None:
        """Copy an output to anywhere."""
        self._stream.copy(address, self._buffers[name][0], self._bytes(name))

    def _bytes(self, name: str) -> int:
        return math.prod(self._shapes[name]) * self._sizes[name]

    def execute(self) -> None:
        """Compute: the first time of these shapes by the library, from then on by their graph.

        Raises:
            EngineError: The library fails.
        """
        if not self._cuda_graph:
            self._enqueue()
        elif self._key not in self._graphs:
            self._enqueue()  # the library prepares itself in the first run, which is not recorded
            self._remember(self._key, None)
        else:
            if self._graphs[self._key] is None:
                self._graphs[self._key] = self._stream.capture(self._enqueue)
            self._graphs.move_to_end(self._key)
            self._stream.launch(self._graphs[self._key])

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(self._stream.handle):
            raise EngineError(f"TensorRT does not run the engine: {self._said()}")

    def _remember(self, key: _Key, graph: Any) -> None:
        self._graphs[key] = graph
        if len(self._graphs) > _GRAPHS:
            _, oldest = self._graphs.popitem(last=False)
            if oldest is not None:
                self._stream.wait()
                self._stream.forget(oldest)

    def _forget_graphs(self) -> None:
        for graph in self._graphs.values():
            if graph is not None:
                self._stream.forget(graph)
        self._graphs.clear()

    def close(self) -> None:
        """Free the graphs, the buffers and the context."""
        self._stream.wait()
        self._forget_graphs()
        for address, _ in self._buffers.values():
            self._stream.free(address)
        self._buffers.clear()
        self._context = None
