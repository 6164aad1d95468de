"""Where a network can come from: one file a kind, told apart by content."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from simam_deploy.errors import NetworkError
from simam_deploy.source.left_free import with_dynamic
from simam_deploy.source.options import NetworkOptions

if TYPE_CHECKING:
    from simam_deploy.source.subject import Opset, Subject


def load_subject(source: Path, options: NetworkOptions, opset: Opset | None = None) -> Subject:
    """Open whatever `source` is.

    Args:
        source: The file.
        options: What is said of it.
        opset: What is asked of its graph; by default nothing.

    Raises:
        InputError: It cannot be used.
        UsageError: An option does not fit it.
    """
    from simam_deploy.source.asked import with_recipe
    from simam_deploy.source.subject import Opset

    subject = _load(source, options, opset or Opset())
    return subject if options.preprocess is None else with_recipe(subject, options.preprocess)


def _load(source: Path, options: NetworkOptions, opset: Opset) -> Subject:
    """Open it by its kind."""
    kind = _kind(source)
    if kind == "onnx":
        from simam_deploy.source.onnx_file import load_onnx

        return load_onnx(source, options, opset)
    options = with_dynamic(options)
    if kind in ("program", "script"):
        from simam_deploy.source.program import load_program, load_script

        return (load_program if kind == "program" else load_script)(source, options, opset)
    if options.model is not None:
        from simam_deploy.source.module import load_factory

        return load_factory(source, options, opset)
    return _load_checkpoint(source, options, opset)


def _load_checkpoint(source: Path, options: NetworkOptions, opset: Opset) -> Subject:
    """Take a published network, or else the module that a trusted pickle holds."""
    from simam_deploy.source.checkpoint import load_checkpoint
    from simam_deploy.source.zoo import load_zoo

    checkpoint = load_checkpoint(source, trust_pickle=options.trust_pickle)
    try:
        return load_zoo(checkpoint, options, opset)
    except NetworkError:
        if not options.trust_pickle or options.arch or options.attention:
            raise
        from simam_deploy.source.module import load_pickled

        subject = load_pickled(checkpoint, options, opset)
        if subject is None:
            raise
        return subject


def _kind(source: Path) -> str:
    """Tell by content: an ONNX file is told by its name, for protobuf has no mark of its own."""
    if source.suffix.lower() == ".onnx":
        return "onnx"
    if not source.is_file() or not zipfile.is_zipfile(source):
        return "checkpoint"
    try:
        with zipfile.ZipFile(source) as archive:
            names = {name.partition("/")[2] or name for name in archive.namelist()}
    except (zipfile.BadZipFile, NotImplementedError, OSError):
        return "checkpoint"
    if names & {"archive_format", "serialized_exported_program.json"}:
        return "program"
    return "script" if "constants.pkl" in names else "checkpoint"
