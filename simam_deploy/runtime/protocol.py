"""What validation, benchmarks and the server know of a model."""

from __future__ import annotations

from typing import Protocol, TypeVar

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.specs import TensorSpec

Self = TypeVar("Self", bound="Closing")


class Closing:
    """A context manager that closes itself."""

    def close(self) -> None:
        """Free what is held."""

    def __enter__(self: Self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Close."""
        self.close()


class Runner(Protocol):
    """A loaded model: named arrays in, named arrays out; a context manager that frees it."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Compute every output, keyed by name, for one array per input name."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...

    def __enter__(self) -> Runner:
        """Return itself."""
        ...

    def __exit__(self, *raised: object) -> None:
        """Free the model."""
        ...
