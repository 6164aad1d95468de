"""Seeded inputs to hold two models against each other on."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from simam_deploy.core.arrays import Array
from simam_deploy.core.specs import TensorSpec


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape)


def _large(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return 100.0 * rng.standard_normal(shape)


def _constant_planes(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """One value per plane: the variance that SimAM divides by comes near zero."""
    per_plane = shape[:2] + (1,) * (len(shape) - 2)
    return np.broadcast_to(rng.standard_normal(per_plane), shape)


KINDS: Mapping[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "normal": _normal,
    "large": _large,
    "constant": _constant_planes,
}


@dataclass(frozen=True)
class Case:
    """A seeded input that is made anew whenever it is needed, so that none is held."""

    kind: str
    shapes: tuple[tuple[int, ...], ...]

    @property
    def name(self) -> str:
        """Read as `normal 3x3x224x224`."""
        return f"{self.kind} {', '.join('x'.join(map(str, s)) for s in self.shapes)}"

    def feeds(self, specs: Iterable[TensorSpec]) -> dict[str, Array]:
        """Make one array per input spec, in the spec's dtype; the case's name is the seed."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        make = KINDS[self.kind]
        return {
            spec.name: np.ascontiguousarray(make(rng, shape).astype(spec.dtype))
            for spec, shape in zip(specs, self.shapes, strict=True)
        }


def cases_for(
    shapes: Iterable[tuple[tuple[int, ...], ...]], kinds: Iterable[str] = KINDS
) -> tuple[Case, ...]:
    """Cross kinds of inputs with sets of full shapes, one shape per input."""
    return tuple(Case(kind, each) for kind, each in itertools.product(sorted(kinds), shapes))
