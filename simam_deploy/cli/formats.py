"""What `simam export --format` writes: one function a format, told by the command's options."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from simam_deploy.errors import UsageError

Progress = Callable[[str], None]
Made = tuple[dict[str, Any], str]
"""The JSON document, and the table for the terminal."""


def write_onnx(args: argparse.Namespace, progress: Progress) -> Made:
    """Write a validated .onnx and its manifest."""
    from simam_deploy.pipeline import export_onnx
    from simam_deploy.report.text import export_table

    artifact = export_onnx(
        Path(args.source),
        args.output,
        arch=args.arch,
        model=args.model,
        e_lambda=args.e_lambda,
        dynamic=args.dynamic,
        input_shape=args.input_shape,
        opset=args.opset,
        input_names=args.input_names,
        output_names=args.output_names,
        lowering=args.lowering,
        precision=args.precision,
        keep_io=args.keep_io,
        calibration_data=args.calibration_data,
        calibration_samples=args.calibration_samples,
        simplify=not args.no_simplify,
        trust_pickle=args.trust_pickle,
        progress=progress,
    )
    return artifact.to_json(), export_table(artifact)


def write_engine(args: argparse.Namespace, progress: Progress) -> Made:
    """Write a TensorRT plan and its manifest, by the defaults of `simam-build`."""
    _refuse("engine", {"--lowering": args.lowering != "auto", "--no-simplify": args.no_simplify})
    from simam_deploy.engine_pipeline import EngineOptions, build
    from simam_deploy.report.build_text import build_table
    from simam_deploy.sources import Options

    engine = EngineOptions(
        precision=args.precision,
        keep_io=args.keep_io,
        calibration_data=args.calibration_data and Path(args.calibration_data),
    )
    network = Options(
        arch=args.arch,
        model=args.model,
        e_lambda=args.e_lambda,
        dynamic=args.dynamic,
        input_shape=args.input_shape,
        opset=args.opset,
        input_names=args.input_names,
        output_names=args.output_names,
        trust_pickle=args.trust_pickle,
    )
    artifact = build(args.source, args.output, engine, network, progress=progress)
    return artifact.to_json(), build_table(artifact)


def _refuse(wanted: str, given: Mapping[str, bool]) -> None:
    """Refuse options that a format decides by itself.

    Raises:
        UsageError: One is given.
    """
    for option, is_given in given.items():
        if is_given:
            raise UsageError(f"{option} does not apply to --format {wanted}, which chooses itself")


FORMATS: Mapping[str, Callable[[argparse.Namespace, Progress], Made]] = {
    "onnx": write_onnx,
    "engine": write_engine,
}
