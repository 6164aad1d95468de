"""Samples from a folder or a file, made into batches of a network's input.

A path is one of
    folder   pictures directly in it, without labels; or one subfolder a class
    .npz     an array named as the input, or images, x, data; with it perhaps labels or y;
             of several inputs one for each, named as they are
    .npy     one array, without labels
or pictures with boxes, as `simam_deploy.source.samples.boxes` says.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from simam_deploy.core.arrays import Array
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError, UsageError
from simam_deploy.source.samples.arrays import open_arrays
from simam_deploy.source.samples.boxes import BoxPictures, Truth, open_boxes
from simam_deploy.source.samples.folder import PictureFolder
from simam_deploy.source.samples.inputs import Batch, Sample, SampleInputs, find_inputs, size_fact
from simam_deploy.source.samples.preparation import filled_notes, read_preparation
from simam_deploy.source.samples.several import open_several

LARGEST_LABEL = 2**31 - 1


class Source(Protocol):
    """Where samples lie: prepared one at a time, in ascending order."""

    classes: tuple[str, ...] | None
    labelled: bool
    by_place: bool

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know, as far as the samples were read."""
        ...

    def __len__(self) -> int:
        """Count the samples."""
        ...

    def read(self, chosen: Sequence[int]) -> Iterator[Sample]:
        """Yield the chosen samples."""
        ...


class Dataset:
    """Samples of a network's inputs; they are decoded anew each time they are asked for.

    Attributes:
        name: Of the folder or file.
        classes: Class names in ascending order of their labels; None where nothing names them.
        labelled: Whether every sample has a label.
        by_place: Whether a label is no more than the place of a folder among others.
        inputs: Which inputs its batches give.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        chosen: Sequence[int],
        inputs: SampleInputs,
        said: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.inputs = inputs
        self._said = said
        self.classes = source.classes
        self.labelled, self.by_place = source.labelled, source.by_place
        self._source = source
        self._chosen = chosen

    def __len__(self) -> int:
        """Count the samples."""
        return len(self._chosen)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know, a line each, as far as the samples were read."""
        single = ("there is a single sample: it stands for nothing but itself",)
        return (*self._source.notes, *self._said, *(single if len(self) == 1 else ()))

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield batches of `size` samples in their order, smaller ones where shapes change.

        Raises:
            InputError: A sample cannot be decoded, holds NaN or infinity, or has an impossible
                label; it is named.
        """
        samples = self._source.read(self._chosen)
        for _, alike in itertools.groupby(samples, key=lambda sample: sample.array.shape):
            while group := list(itertools.islice(alike, size)):
                yield self._batch(group)

    def _batch(self, group: Sequence[Sample]) -> Batch:
        for sample in group:
            _check(sample)
        labels = [_label(sample.name, sample.label) for sample in group]
        return Batch(
            np.stack([sample.array for sample in group]),
            np.array(labels, np.int64) if self.labelled else None,
            self._others(group),
            {spec.name: group[0].others[spec.name] for spec in self.inputs.whole},
        )

    def _others(self, group: Sequence[Sample]) -> dict[str, Array]:
        """Give what further inputs have a row of for each sample."""
        if self.inputs.size is not None:
            sizes = np.array([sample.size for sample in group], np.float32)
            return {self.inputs.size.name: sizes}
        names = [spec.name for spec in self.inputs.others]
        return {name: np.stack([sample.others[name] for sample in group]) for name in names}

    def truths(self) -> Iterator[Truth] | None:
        """Say what lies in each sample, in the order of the batches; None without boxes.

        Raises:
            InputError: A picture's size cannot be read.
        """
        source = self._source
        return map(source.truth, self._chosen) if isinstance(source, BoxPictures) else None


def _check(sample: Sample) -> None:
    others = {f"{sample.name}, {name}": array for name, array in sample.others.items()}
    for name, array in {sample.name: sample.array, **others}.items():
        bad = int(np.count_nonzero(~np.isfinite(array)))
        if bad:
            raise InputError(f"{name} holds {bad} NaN or infinite values: remove or mend it")


def _label(name: str, label: int) -> int:
    if not 0 <= label <= LARGEST_LABEL:
        raise InputError(f"{name} has the label {label}: wanted 0 to {LARGEST_LABEL}")
    return label


def open_dataset(
    path: Path,
    inputs: Sequence[TensorSpec],
    preprocessing: Mapping[str, Any] | None,
    *,
    limit: int | None = None,
    names: Sequence[str] | None = None,
) -> Dataset:
    """Open sample data; nothing but the first sample is decoded yet.

    Args:
        path: A folder, .npz or .npy, as the module says. An array of floats that has the input's
            rank and fixed sizes is taken as it is; one of uint8, (N, H, W, C), (N, C, H, W) or
            grey (N, H, W), is prepared like pictures.
        inputs: The network's.
        preprocessing: The manifest's facts of that name; None where nobody stated them.
        limit: The most samples to take, spread evenly over all, which are sorted by class.
        names: The network's classes, which labels follow: folders must be named as they are or
            numbered, boxes are where their own classes are among them.

    Returns:
        The dataset.

    Raises:
        InputError: There are no samples, they do not fit the inputs, or cannot be read.
        UsageError: The limit is below 1, or no input has a batch.
    """
    if limit is not None and limit < 1:
        raise UsageError(
            f"the number of samples must be at least 1, got {limit}", options=("limit",)
        )
    given = find_inputs(inputs, bool(size_fact(preprocessing)))
    source: Source = (
        open_several(path, given)
        if given.several
        else _open_source(path, given.sample, preprocessing, names)
    )
    said = filled_notes(preprocessing, given.sample)
    dataset = Dataset(path.name, source, _spread(len(source), limit), given, said)
    next(dataset.batches(1))
    return dataset


def _open_source(
    path: Path,
    spec: TensorSpec,
    preprocessing: Mapping[str, Any] | None,
    names: Sequence[str] | None,
) -> Source:
    """Open what lies at a path for one input."""
    prepare = read_preparation(preprocessing, spec)
    boxes = open_boxes(path, spec, prepare, names)
    if boxes is not None:
        return boxes
    if path.is_dir():
        return PictureFolder(path, prepare, names)
    if path.suffix.lower() in (".npz", ".npy") and path.is_file():
        return open_arrays(path, spec, prepare)
    there = "is neither" if path.exists() else "does not exist: wanted"
    raise InputError(f"{path} {there} a folder of pictures, .npz, .npy, .json or .yaml")


def _spread(count: int, limit: int | None) -> Sequence[int]:
    """Choose `limit` of `count` numbers evenly; a range takes no memory."""
    if limit is None or limit >= count:
        return range(count)
    return [i * count // limit for i in range(limit)]
