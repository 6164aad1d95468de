"""ONNX's RoiAlign and NonMaxSuppression in TensorRT-RTX, where there is a driver.

Without one its parser refuses RoiAlign, whose plugin asks CUDA for a device, and its builder
NonMaxSuppression; so `simam-build` writes Loops for both. What is refused is a finding, and no
fault.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from rtx_plan import build_plan

from gpu.held import Reference, judged
from gpu.part import said_of
from gpu.setting import Setting
from gpu.table import Cell, Row
from simam_deploy.core.arrays import Feeds
from simam_deploy.engine.run.runner import TensorRTRunner
from simam_deploy.errors import SimamError
from simam_deploy.runtime.onnx_runner import OnnxRunner

GRAPHS = {
    "RoiAlign": """<ir_version: 8, opset_import: ["" : 16]>
        g (float[2,16,50,68] x, float[20,4] rois, int64[20] image) => (float[20,16,7,7] y)
        { y = RoiAlign<output_height = 7, output_width = 7, sampling_ratio = 2,
                       spatial_scale = 0.25, coordinate_transformation_mode = "half_pixel">
              (x, rois, image) }""",
    "NonMaxSuppression": """<ir_version: 8, opset_import: ["" : 16]>
        g (float[1,200,4] boxes, float[1,1,200] scores) => (int64[n,3] kept)
        <int64 most = {100}, float overlap = {0.5}, float score = {0.0}>
        { kept = NonMaxSuppression(boxes, scores, most, overlap, score) }""",
}


def missing(setting: Setting) -> str:
    """Ask for TensorRT-RTX."""
    there = importlib.util.find_spec("tensorrt_rtx") is not None
    return "" if there else "TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'"


def cells(setting: Setting) -> Iterable[Cell]:
    """Give the operators."""
    return [(name,) for name in GRAPHS]


def measure(cell: Cell, setting: Setting) -> Iterable[Row]:
    """Build a graph of the operator alone, run it, and hold it against ONNX Runtime."""
    (name,) = cell
    model = onnx.parser.parse_model(GRAPHS[name]).SerializeToString()
    try:
        plan = build_plan(model, target=None)
    except ValueError as error:
        return [{"builds": "no", "said": said_of(error)}]
    with tempfile.TemporaryDirectory() as folder:
        try:
            return [{"builds": "yes", "runs": "yes", **_run(name, model, plan, Path(folder))}]
        except SimamError as error:
            return [{"builds": "yes", "runs": "no", "said": said_of(error)}]


def _run(name: str, model: bytes, plan: bytes, folder: Path) -> Mapping[str, str]:
    onnx_file, plan_file = folder / "op.onnx", folder / "op.engine"
    onnx_file.write_bytes(model)
    plan_file.write_bytes(plan)
    case = drawn(name)
    with OnnxRunner(onnx_file) as reference:
        truth = Reference([case], [reference.run(case)])
    with TensorRTRunner(plan_file, trust=True) as runner:
        return judged(truth.error(runner), "fp32")


def drawn(name: str) -> Feeds:
    """Draw boxes of 8 to 80 pixels in a picture of 200x272, and what is read or scored."""
    rng = np.random.default_rng(0)
    count = 20 if name == "RoiAlign" else 200
    corners = rng.uniform(0, (272, 200), (count, 2))
    boxes = np.hstack([corners, corners + rng.uniform(8, 80, (count, 2))]).astype("f")
    if name == "NonMaxSuppression":
        return {"boxes": boxes[None], "scores": rng.random((1, 1, count)).astype("f")}
    x = rng.standard_normal((2, 16, 50, 68)).astype("f")
    return {"x": x, "rois": boxes, "image": rng.integers(0, 2, count)}
