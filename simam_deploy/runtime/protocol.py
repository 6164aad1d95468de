"""What validation, benchmarks and the server know of a model."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol

import numpy.typing as npt

from simam_deploy.artifacts import TensorSpec

Arrays = Mapping[str, npt.NDArray[Any]]


class Runner(Protocol):
    """A loaded model: named arrays in, named arrays out; a context manager that frees it."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[Any]]:
        """Compute every output, keyed by name, for one array per input name."""
        ...

    def __enter__(self) -> Runner:
        """Return itself."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Free the model."""
        ...
