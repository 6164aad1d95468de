"""The errors a user can meet, as a tree.

    SimamError                exit code
    ├── InputError            1   the input (or the place for the output) cannot be used
    │   ├── CheckpointError   1   the file is no usable checkpoint
    │   ├── GraphError        1   the file is an ONNX model whose graph is not valid
    │   ├── NetworkError      1   the weights fit no network that is known here
    │   └── EngineError       1   a plan cannot be built, or not be run here
    ├── UsageError            2   the options contradict each other or the input
    └── ValidationError      3   the exported file does not compute what the source does

Every message is one line: what was found, what was wanted, what to do.
"""

from __future__ import annotations


class SimamError(Exception):
    """Anything this package reports on purpose; `exit_code` is what the commands return."""

    exit_code = 1


class InputError(SimamError):
    """The input, or the place for the output, cannot be used."""


class CheckpointError(InputError):
    """The file is missing, damaged, unsafe, or holds no usable weights."""


class GraphError(InputError):
    """The file is an ONNX model, but its graph is not valid: no runtime can take it."""


class NetworkError(InputError):
    """The weights fit no known network, or a network that is not SimAM's."""


class EngineError(InputError):
    """TensorRT cannot build the graph, or a plan does not fit this machine or its manifest."""


class UsageError(SimamError):
    """The options contradict each other or do not fit the input."""

    exit_code = 2


class ValidationError(SimamError):
    """The exported file does not compute what the source computes."""

    exit_code = 3
