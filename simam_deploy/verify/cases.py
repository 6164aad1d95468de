"""Seeded inputs to hold two models against each other on.

A batch mixes the kinds, a row each: all of them are met at the cost of as many rows, and each row
is judged by itself.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from simam_deploy.core.arrays import Array, Feeds, levels
from simam_deploy.core.specs import TensorSpec, shape_text
from simam_deploy.source.samples.inputs import picture_inputs, size_fact
from simam_deploy.source.samples.preparation import Preparation, read_preparation

Rng = np.random.Generator
Sizes = tuple[int, ...]


def _normal(rng: Rng, size: Sizes) -> Array:
    return rng.standard_normal(size)


def _large(rng: Rng, size: Sizes) -> Array:
    return 100.0 * rng.standard_normal(size)


def _constant_planes(rng: Rng, size: Sizes) -> Array:
    """One value per plane: the variance that SimAM divides by comes near zero."""
    return np.broadcast_to(rng.standard_normal(size[:1] + (1,) * (len(size) - 1)), size)


def _picture(rng: Rng, size: Sizes) -> Array:
    """Slow and fast waves between 0 and 1, as a picture's channels are: alike, none below 0."""
    plane = np.zeros(size[1:] or (1,))
    for axis in range(plane.ndim):
        steps = np.linspace(0, 2 * np.pi, plane.shape[axis])
        wave = np.cos(steps * rng.uniform(0.5, 3) + rng.uniform(0, 6))
        plane = plane + wave.reshape([-1 if i == axis else 1 for i in range(plane.ndim)])
    grain = 0.1 * rng.standard_normal(size)
    return np.clip(0.5 + 0.2 * plane + grain, 0, 1)


def _blank(rng: Rng, size: Sizes) -> Array:
    """A black frame."""
    return np.zeros(size)


KINDS: Mapping[str, Callable[[Rng, Sizes], Array]] = {
    "normal": _normal,
    "picture": _picture,
    "constant": _constant_planes,
    "blank": _blank,
    "large": _large,
}
"""By name, how a row without its batch axis is drawn."""
EVEN = ("constant", "blank")
"""Kinds of one value a plane."""
TYING = (*EVEN, "large")
"""Kinds on which a detector's scores are equal by the dozen: even planes, and saturated ones."""
_PICTURES = ("picture", "blank")
_PADDING = 31
"""Pixels at most: less than the 32 that detectors pad to multiples of."""


class Case(Protocol):
    """Inputs for one run of a model, made anew whenever they are needed, so that none is held."""

    @property
    def name(self) -> str:
        """What a report calls it."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kind of each row, in order."""
        ...

    def feeds(self, specs: Iterable[TensorSpec]) -> dict[str, Array]:
        """Make one array per input spec, in the spec's dtype."""
        ...


@dataclass(frozen=True)
class Drawn:
    """Seeded rows.

    Attributes:
        kinds: Of the rows, a key of `KINDS` each.
        shapes: One full shape per input.
        preparation: How a picture becomes a row of the first input, where somebody states it.
        sized: Whether the network is told how much of each picture is no padding: then every
            second row is padded.
    """

    kinds: tuple[str, ...]
    shapes: tuple[Sizes, ...]
    preparation: Preparation | None = field(default=None, hash=False, compare=False)
    sized: bool = False

    @property
    def name(self) -> str:
        """Read as `normal 1x3x224x224`."""
        kinds = " + ".join(dict.fromkeys(self.kinds))
        return f"{kinds} {', '.join(shape_text(s) or 'number' for s in self.shapes)}"

    def feeds(self, specs: Iterable[TensorSpec]) -> dict[str, Array]:
        """Make the arrays; the case's name is the seed."""
        rng, specs = np.random.default_rng(zlib.crc32(self.name.encode())), tuple(specs)
        feeds = {
            spec.name: np.ascontiguousarray(self._array(rng, shape, np.dtype(spec.dtype)))
            for spec, shape in zip(specs, self.shapes, strict=True)
        }
        if self.sized and len(specs) > 1:
            given = picture_inputs(specs, self.sized)
            self._pad(feeds[given.sample.name], feeds[given.told.name])
        return feeds

    def _pad(self, pictures: Array, sizes: Array) -> None:
        """Pad every second row at the right and below, and say how much of each is picture.

        Which rows: so that of single rows, a kind each, some are padded too.
        """
        sides = np.array(pictures.shape[2:])
        first = tuple(KINDS).index(self.kinds[0])
        for row, picture in enumerate(pictures):
            height, width = sides - np.minimum(sides // 8, _PADDING) * ((first + row) % 2)
            picture[:, height:] = picture[:, :, width:] = 0
            sizes[row] = height, width

    def _array(self, rng: Rng, shape: Sizes, dtype: np.dtype[Any]) -> Array:
        if not shape:
            return np.asarray(1, dtype)
        kinds = _cycled(self.kinds, shape[0])
        return np.stack([self._row(rng, kind, shape[1:], dtype) for kind in kinds]).astype(dtype)

    def _row(self, rng: Rng, kind: str, size: Sizes, dtype: np.dtype[Any]) -> Array:
        row = KINDS[kind](rng, size)
        fits = self.preparation is not None and size[:1] == self.preparation.mean.shape
        if kind in _PICTURES and self.preparation is not None and fits:
            return self.preparation.of_light(row)
        return _whole(row, dtype) if dtype.kind in "biu" else row


def _whole(row: Array, dtype: np.dtype[Any]) -> Array:
    """Turn a row into the whole numbers that an input of its type can be given."""
    return np.round(np.clip(row, 0, 1) * (levels(dtype) - 1))


def _cycled(kinds: Sequence[str], count: int) -> Iterator[str]:
    return itertools.islice(itertools.cycle(kinds), count)


@dataclass(frozen=True)
class Given:
    """Rows that a user gave."""

    name: str
    arrays: Feeds = field(hash=False, compare=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """All are samples."""
        return ("sample",) * len(next(iter(self.arrays.values())))

    def feeds(self, specs: Iterable[TensorSpec]) -> dict[str, Array]:
        """Give the arrays in the specs' dtypes."""
        return {spec.name: self.arrays[spec.name].astype(spec.dtype) for spec in specs}


def drawn_cases(
    shapes: Iterable[tuple[Sizes, ...]],
    kinds: Sequence[str],
    preprocessing: Mapping[str, Any] | None = None,
) -> tuple[Drawn, ...]:
    """Put every kind into the rows of as few runs as there can be, and every shape into one.

    Args:
        shapes: Full shapes, one per input in each; rows are counted by the first
            input that has any.
        kinds: The first comes first.
        preprocessing: A manifest's facts of that name: pictures are normalised as they say.
    """
    shapes = tuple(shapes)
    left = list(kinds)
    cases: list[Drawn] = []
    sized = bool(size_fact(preprocessing))
    for each in itertools.chain(shapes, itertools.cycle(shapes[:1])):
        if len(cases) >= len(shapes) and not left:
            break
        rows = max(1, next((shape[0] for shape in each if shape), 1))
        taken, left = left[:rows], left[rows:]
        drawn = tuple(_cycled(taken or kinds, rows))
        cases.append(Drawn(drawn, each, _preparation(preprocessing, each), sized))
    return tuple(cases)


def _preparation(
    preprocessing: Mapping[str, Any] | None, shapes: tuple[Sizes, ...]
) -> Preparation | None:
    first = shapes[0] if shapes else ()
    return read_preparation(preprocessing, TensorSpec("", "float32", first))
