"""What a model takes and gives, and where its SimAM stands: frozen, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
"""What a model's weights and activations may be in."""


def shape_text(shape: Sequence[int]) -> str:
    """Write a shape as `1x3x224x224`."""
    return "x".join(map(str, shape))


@dataclass(frozen=True)
class TensorSpec:
    """A graph input or output; a string in `shape` is a dynamic dimension's name."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        """Render as `name float32 batch x 3 x 224 x 224`."""
        return f"{self.name} {self.dtype} {' x '.join(map(str, self.shape))}"


@dataclass(frozen=True)
class SimamSite:
    """One SimAM in the exported graph: where it is, what it sees, (N, C, H, W), its lambda."""

    name: str
    shape: tuple[int | str, ...]
    e_lambda: float


@dataclass(frozen=True)
class ShapeRange:
    """What an engine's profile takes at one input: full shapes, `opt` the one it is tuned for."""

    name: str
    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]

    def holds(self, shape: tuple[int, ...]) -> bool:
        """Tell whether a full shape lies within."""
        return len(shape) == len(self.min) and all(
            low <= size <= high for low, size, high in zip(self.min, shape, self.max, strict=True)
        )


Profile = tuple[ShapeRange, ...]
"""One range per engine input."""


def specs_json(specs: tuple[TensorSpec, ...]) -> list[dict[str, Any]]:
    """Turn specs into JSON-able dictionaries."""
    return [{"name": s.name, "dtype": s.dtype, "shape": list(s.shape)} for s in specs]
