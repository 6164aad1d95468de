"""The errors a user can meet, as a tree.

    SimamError                exit code
    ├── InputError            1   the input (or the place for the output) cannot be used
    │   ├── CheckpointError   1   the file is no usable checkpoint
    │   ├── GraphError        1   the file is an ONNX model whose graph is not valid
    │   ├── NetworkError      1   the weights fit no network that is known here
    │   └── EngineError       1   a plan cannot be built, or not be run here
    ├── UsageError            2   the options contradict each other or the input
    └── ValidationError      3   the exported file does not compute what the source does

Every message is one line: what was found, what was wanted, what to do. It speaks of values; which
options they came from stands beside it, and only a command line knows what it calls those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

_Error = TypeVar("_Error", bound="SimamError")


class SimamError(Exception):
    """Anything this package reports on purpose; `exit_code` is what the commands return.

    Args:
        message: One line.
        options: The options that it is about, or that would help, by their fields' names.
    """

    exit_code = 1

    def __init__(self, message: str = "", *, options: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.options = tuple(options)

    def reworded(self: _Error, message: str) -> _Error:
        """Make the same error of another message."""
        return type(self)(message, options=self.options)


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
