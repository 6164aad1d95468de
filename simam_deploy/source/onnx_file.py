"""An ONNX file that somebody exported: what it states, run in ONNX Runtime, is the reference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simam_deploy.core.specs import TensorSpec, shape_text
from simam_deploy.errors import InputError, UsageError
from simam_deploy.runtime.graph_runner import run_exact
from simam_deploy.runtime.onnx_runner import OnnxRunner
from simam_deploy.runtime.protocol import Runner
from simam_deploy.source.left_free import ASSUMED_SIZE, filled
from simam_deploy.source.options import NetworkOptions
from simam_deploy.source.stated.choice import size_of_input
from simam_deploy.source.stated.of_onnx import take_metadata
from simam_deploy.source.stated.reading import read_stated
from simam_deploy.source.stated.record import Stated
from simam_deploy.source.subject import (
    InputShapes,
    Opset,
    Subject,
    Traced,
    file_facts,
    say_stated,
    take_sites,
)

if TYPE_CHECKING:
    import onnx_ir as ir

_ODD_BATCH = 3
_LIKELY = (2, 4, 8, 16, 32, 64)
"""Batches that somebody may have exported at, where neither 1 nor 3 runs."""


def load_onnx(source: Path, options: NetworkOptions, opset: Opset) -> Subject:
    """Read an ONNX file whose SimAM sites are to be found and lowered anew.

    Raises:
        InputError: The file is no usable ONNX model or ONNX Runtime does not take it.
        UsageError: An option asks for what the file has fixed.
    """
    from simam_deploy.graph.file.interface import check_interface, interface
    from simam_deploy.graph.file.read import mended, read_model
    from simam_deploy.graph.passes.fix_batch import fix_batch
    from simam_deploy.graph.passes.opset import convert_opset
    from simam_deploy.graph.prepare import opened
    from simam_deploy.graph.types import precision_of

    refuse_fixed(source, options)
    model = read_model(source)
    precision = precision_of(model)
    version = opset.choose(model.opset_imports[""])

    def graph() -> Traced:
        return take_sites(convert_opset(opened(model), version), source.name, options.allow_none)

    check_interface(model, source.name)
    inputs, _ = interface(model)
    stated = read_stated(None, model.metadata_props)
    shapes = tuple(_shapes(inputs, options, stated))
    with run_exact(source)[0] as runner:
        batch = _only_batch(runner, shapes)
    if batch is not None:
        shapes = (_at_batch(batch, shapes[0]),)
        fix_batch(model, batch)

    def reference() -> Runner:
        return run_exact(source, batch)[0]

    subject = Subject(
        facts={"arch": f"onnx:{source.name}", "source": file_facts(source)},
        e_lambda=None,
        notes=(*mended(model), *([] if batch is None else [baked_note(batch)])),
        shapes=shapes,
        precision=precision,
        opset=version,
        reference=reference,
        graph=graph,
    )
    return say_stated(subject, stated, take_metadata(model.metadata_props, shapes[0][0]))


def baked_batch(source: Path) -> int | None:
    """Tell which batch alone works in a file whose batch is free by name.

    Returns:
        It; None where others work, or where ONNX Runtime cannot tell.

    Raises:
        InputError: The file cannot be used, or a run of it has no end.
    """
    from simam_deploy.graph.file.interface import check_interface, interface
    from simam_deploy.graph.file.read import read_model

    model = read_model(source)
    check_interface(model, source.name)
    stated = read_stated(None, model.metadata_props)
    shapes = tuple(_shapes(interface(model)[0], NetworkOptions(), stated))
    if len(shapes) == 1:
        return None
    try:
        runner = run_exact(source)[0]
    except InputError:  # it is missing, or has no kernel: bfloat16's
        return None
    with runner:
        return _only_batch(runner, shapes)


def _only_batch(runner: OnnxRunner, shapes: Sequence[InputShapes]) -> int | None:
    """Tell which batch alone runs: the first of two where one does, else a likely one.

    Where 1 and 3 run and 2 does not, 3 is written in, and 1 is broadcast to it.
    """
    if len(shapes) == 1:
        return None
    first, other = ((each[0][0], _runs(runner, each)) for each in shapes)
    running = [batch for batch, runs in (first, other) if runs]
    if len(running) == len(shapes):
        return None if _runs(runner, _at_batch(_LIKELY[0], shapes[0])) else _ODD_BATCH
    likely = (batch for batch in _LIKELY if _runs(runner, _at_batch(batch, shapes[0])))
    return running[0] if running else next(likely, None)


def _at_batch(batch: int, shapes: InputShapes) -> InputShapes:
    return tuple((batch, *shape[1:]) for shape in shapes)


def _runs(runner: OnnxRunner, shapes: InputShapes) -> bool:
    """Tell whether a file runs at these shapes, on zeros, which index whatever there is."""
    named = zip(runner.inputs, shapes, strict=True)
    try:
        runner.run({spec.name: np.zeros(shape, spec.dtype) for spec, shape in named})
    except InputError:
        if runner.stopped:
            raise
        return False
    return True


def baked_note(batch: int) -> str:
    """Say that a batch was fixed."""
    other = _LIKELY[0] if batch == _ODD_BATCH else _ODD_BATCH
    return (
        f"batch {batch} works, {other} does not, for the graph has it written in somewhere: the "
        f"batch is fixed at {batch}"
    )


_FIXED = {
    "arch": "network",
    "attention": "attention",
    "model": "network",
    "e_lambda": "lambda",
    "dynamic": "free dimensions",
    "inputs": "inputs",
    "input_names": "input names",
    "output_names": "output names",
}


def refuse_fixed(source: Path, options: NetworkOptions) -> None:
    """Refuse to change what an ONNX file has of its own.

    Raises:
        UsageError: An option says it.
    """
    for field, what in _FIXED.items():
        if getattr(options, field) not in (None, ()):
            raise UsageError(
                f"{source.name} states its own {what}, as an ONNX file does: leave it out",
                options=(field,),
            )


def _shapes(
    inputs: tuple[TensorSpec, ...], options: NetworkOptions, stated: Stated
) -> Iterable[InputShapes]:
    """List the shapes to validate: batches 1 and 3, other free dimensions as given or stated.

    Raises:
        UsageError: The shape given does not fit the first input.
    """
    first, *others = inputs
    given = tuple(options.input_shape or ())
    fixed = [isinstance(d, int) and d != g for d, g in zip(first.shape, given, strict=False)]
    if given and (len(given) != len(first.shape) or any(fixed)):
        raise UsageError(
            f"a shape of {shape_text(given)} does not fit input {first}", options=("input_shape",)
        )
    usual = _concrete(first, 1, stated)
    free = [axis for axis, size in enumerate(first.shape) if isinstance(size, str)]
    own = filled(given, usual, free) if given else usual
    shapes = [own, *(_concrete(spec, 1) for spec in others)]
    yield tuple(shapes)
    if all(spec.shape and isinstance(spec.shape[0], str) for spec in inputs):
        yield tuple((_ODD_BATCH, *shape[1:]) for shape in shapes)


def _concrete(spec: TensorSpec, batch: int, stated: Stated | None = None) -> tuple[int, ...]:
    """Fill a spec's free dimensions; those of a picture by what the file says, if it does."""
    filled = [d if isinstance(d, int) else ASSUMED_SIZE for d in spec.shape]
    size = size_of_input(stated) if stated and len(filled) == 4 else None
    if size and all(isinstance(d, str) for d in spec.shape[2:]):
        filled[2:] = size.value
    if spec.shape and isinstance(spec.shape[0], str):
        filled[0] = batch
    return tuple(filled)


def shapes_of_one(model: ir.Model, given: Sequence[int] | None = None) -> InputShapes:
    """Give shapes to run a file at with one row, if it takes one; nothing is run.

    Args:
        model: The file's.
        given: Of its first input.

    Raises:
        UsageError: That does not fit it.
    """
    from simam_deploy.graph.file.interface import interface

    stated = read_stated(None, model.metadata_props)
    return next(iter(_shapes(interface(model)[0], NetworkOptions(input_shape=given), stated)))
