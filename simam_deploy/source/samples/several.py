"""Samples of a network of several inputs: an .npz with an array for each, named as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from zipfile import ZipInfo

from simam_deploy.core.arrays import Array
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.source.samples.arrays import (
    ArraySamples,
    Rows,
    list_members,
    open_labels,
    open_member,
    sides_of,
    value_reader,
)
from simam_deploy.source.samples.inputs import SampleInputs

Column = tuple[Rows, Callable[[Array], Array]]


def open_several(path: Path, given: SampleInputs) -> ArraySamples:
    """Open an .npz file; what is the same for every sample is read here.

    Args:
        path: The file. Labels are in it or not, other arrays are left alone.
        given: The inputs.

    Raises:
        InputError: It is no .npz or damaged; or an array is missing, does not fit its input, or
            has not a row for each sample.
    """
    specs = {spec.name: spec for spec in (given.sample, *given.others, *given.whole)}
    members = _members(path, tuple(specs))
    rows, make = _column(path, members, given.sample)
    others = {spec.name: _column(path, members, spec) for spec in given.others}
    for other, _ in others.values():
        if other.shape[0] != rows.shape[0]:
            raise InputError(
                f"{other.name} has {other.shape[0]} rows and {rows.name} {rows.shape[0]}: wanted "
                "one of each for every sample"
            )
    whole = {spec.name: _whole(path, members, spec) for spec in given.whole}
    labels = open_labels(path, members, rows, tuple(specs))
    return ArraySamples(rows, labels, lambda row: (make(row), sides_of(row.shape)), others, whole)


def _members(path: Path, names: tuple[str, ...]) -> Mapping[str, ZipInfo]:
    """List the arrays of an .npz file that has one for each name."""
    wanted = f"wanted an .npz with an array for each input, {', '.join(names)}"
    if path.suffix.lower() != ".npz" or not path.is_file():
        raise InputError(f"{path} {'is none' if path.exists() else 'does not exist'}: {wanted}")
    members = list_members(path)
    missing = [name for name in names if name not in members]
    if missing:
        there = ", ".join(sorted(members))[:200] or "nothing"
        raise InputError(f"{path.name} has no array {', '.join(missing)}; there is {there}")
    return members


def _column(path: Path, members: Mapping[str, ZipInfo], spec: TensorSpec) -> Column:
    """Open an array with a row for each sample."""
    rows = open_member(path, members[spec.name])
    read = value_reader(rows, spec.dtype, spec.shape[1:])
    if read is None:
        raise InputError(f"{rows.name} is {rows.dtype} {rows.shape}: wanted {spec}")
    return rows, read


def _whole(path: Path, members: Mapping[str, ZipInfo], spec: TensorSpec) -> Array:
    """Read an array that has none."""
    rows = open_member(path, members[spec.name], whole=True)
    read = value_reader(rows, spec.dtype, spec.shape)
    if read is None:
        raise InputError(f"{rows.name} is {rows.dtype} {rows.shape[1:]}: wanted {spec}")
    return read(next(rows.read([0])))
