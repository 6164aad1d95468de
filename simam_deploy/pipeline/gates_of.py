"""The gates of a network's files, side by side on one input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from simam_deploy.core.arrays import Feeds
from simam_deploy.core.files import parts
from simam_deploy.core.manifest import read_facts
from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import shape_text
from simam_deploy.errors import SimamError
from simam_deploy.graph.file.interface import interface
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.prepare import plain
from simam_deploy.graph.types import FLOAT_TYPES, precision_of
from simam_deploy.pipeline.gathered import Variant
from simam_deploy.precision.gate_histogram import gate_histograms
from simam_deploy.precision.taps import SiteSample, record_sites
from simam_deploy.source.onnx_file import shapes_of_one
from simam_deploy.verify.cases import drawn_cases
from simam_deploy.verify.gates import check_gates


@dataclass(frozen=True)
class Shown:
    """What files are run on: an array per input, and what it is in words."""

    feeds: Feeds
    words: str


def drawn(model: ir.Model, facts: Mapping[str, object], given: Sequence[int] | None) -> Shown:
    """Draw an input, the same each time: waves as of a picture, or normal where it takes none.

    Args:
        model: Whose inputs are drawn.
        facts: Its manifest's, of which "preprocessing" is read.
        given: The shape of its first input, for what of it is free.

    Raises:
        UsageError: That does not fit it.
    """
    inputs, _ = interface(model)
    preprocessing = facts.get("preprocessing")
    shapes = shapes_of_one(model, given)
    kind = "picture" if len(shapes[0]) == 4 else "normal"
    said = preprocessing if isinstance(preprocessing, dict) else None
    (case, *_) = drawn_cases([shapes], (kind,), said)
    specs = tuple(replace(spec, dtype=_in_numpy(spec.dtype)) for spec in inputs)
    words = "waves as a picture's" if kind == "picture" else "normal noise"
    return Shown(case.feeds(specs), f"{words}, {shape_text(shapes[0])}, drawn from a seed")


def _in_numpy(dtype: str) -> str:
    return "float32" if dtype == "bfloat16" else dtype


def variants_of(files: Sequence[Path], shown: Shown, progress: Progress) -> tuple[Variant, ...]:
    """Look at the gates of files of one network.

    Args:
        files: Each an .onnx.
        shown: What they are run on. Its names are those of the first file's inputs.
        progress: Told each step.

    Returns:
        One a file, in order. One that cannot be run says why.

    Raises:
        InputError: A file is no ONNX model, or not the one that its manifest describes.
    """
    opened = [_opened(path) for path in files]
    reference = next((v.path for v in opened if v.precision == "fp32"), files[0])
    progress(f"running {reference.name}")
    try:
        samples = record_sites(plain(read_model(reference)), shown.feeds)
    except SimamError as error:
        return tuple(replace(variant, reason=str(error)) for variant in opened)
    return tuple(_looked_at(variant, shown.feeds, samples, progress) for variant in opened)


def _opened(path: Path) -> Variant:
    precision = precision_of(read_model(path))
    size = sum(part.stat().st_size for part in parts(path))
    return Variant(path, precision, size, read_facts(path))


def _looked_at(
    variant: Variant, feeds: Feeds, samples: Sequence[SiteSample], progress: Progress
) -> Variant:
    progress(f"looking at the gates of {variant.path.name}")
    named = _under_own_names(variant.path, feeds)
    dtype = FLOAT_TYPES[variant.precision]
    try:
        histograms = gate_histograms(plain(read_model(variant.path)), named)
        checks = check_gates(samples, plain(read_model(variant.path)), dtype, named)
    except SimamError as error:
        return replace(variant, reason=str(error))
    return replace(variant, histograms=histograms, checks=checks)


def _under_own_names(path: Path, feeds: Feeds) -> Feeds:
    """Give arrays under a file's own names, by position where they are others."""
    names = [spec.name for spec in interface(read_model(path))[0]]
    if feeds.keys() >= set(names):
        return feeds
    return dict(zip(names, feeds.values(), strict=False))
