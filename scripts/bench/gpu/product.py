"""`simam-build` on this GPU: the form that it keeps by time, and its own proof of the plan.

What a user runs, from an .onnx to a plan that was held against it: candidates are timed on the
device, and the plan that is kept is proved by the rule of every conversion.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from gpu.files import DOUBLE, File, files_of, flavours, missing_flavours, onnx_of
from gpu.setting import Setting
from gpu.table import Cell, Row
from simam_deploy.engine.flavours.choose import FLAVOURS
from simam_deploy.engine.options import EngineOptions
from simam_deploy.engine.plan.manifest import read_manifest
from simam_deploy.errors import ValidationError
from simam_deploy.pipeline.build import build

NETWORKS = ("resnet18", "mobilenet_v2", "yolo")


def missing(setting: Setting) -> str:
    """Ask for a library."""
    return missing_flavours()


def cells(setting: Setting) -> Iterable[Cell]:
    """Give network, precision, what is quantised, and library."""
    if setting.dry:
        return [(DOUBLE, "fp32", "", "tensorrt")]
    files = [file for network in NETWORKS for file in files_of(network)]
    return [
        (file.network, file.precision, file.quantize, flavour)
        for file, flavour in itertools.product(files, flavours())
    ]


def measure(cell: Cell, setting: Setting) -> Iterable[Row]:
    """Build a plan as a user does."""
    *named, flavour = cell
    source = onnx_of(File(*named), setting)
    options = EngineOptions(backend=FLAVOURS[flavour].backend, cache=False)
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        try:
            plan = build(source, Path(folder) / "kept.engine", options).path
        except ValidationError as error:
            return [{"said": " ".join(str(error).split()), "right": "no"}]
        seconds = f"{time.monotonic() - started:.1f}"
        manifest = read_manifest(plan)
    proof = manifest["validation"]
    return [
        {
            "seconds": seconds,
            "kept": manifest["lowering"],
            "launches": manifest["audit"]["launches"],
            "proved": proof["passed"],
            "said": "; ".join([*manifest["notes"], proof.get("reason") or ""]).strip("; "),
            "right": {True: "yes", False: "no"}.get(proof["passed"], ""),
        }
    ]
