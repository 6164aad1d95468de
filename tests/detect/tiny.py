"""A detector of a few lines: a box around what is red, what is green and what is blue.

Its inputs and outputs are those of our own detectors. It gives no box that reaches nearer than
`MARGIN` to the end of the picture, as it is told it: told otherwise, it detects otherwise.
"""

import io
import json

import numpy as np
import onnx
from onnx import helper, numpy_helper
from PIL import Image

from simam_deploy.core.files import sha256_of
from simam_deploy.core.onnx_metadata import as_metadata

CLASSES = ("red", "green", "blue")
SCORES = (0.9, 0.8, 0.7)
MARGIN = 4
FACTS = {
    "kind": "image", "layout": "NCHW", "color": "RGB", "scale": 1 / 255, "mean": [0.0] * 3,
    "std": [1.0] * 3, "resize": [128, 96], "keep_ratio": True, "pad_divisor": 32,
    "size_input": "image_size",
}  # fmt: skip
_ROWS, _COLUMNS = np.mgrid[:28, :28] + 0.5
MASKS = np.stack(
    [
        (_ROWS - 14) ** 2 + (_COLUMNS - 14) ** 2 < 14**2,  # a disc
        _COLUMNS < 14,  # the left half
        _COLUMNS < _ROWS,  # a triangle
    ]
).astype(np.float32)

GRAPH = """
    <ir_version: 8, opset_import: ["": 18]>
    g (float[n, 3, {sides}] image, float[n, 2] image_size) =>
        (int64[n] num_dets, float[n, 3, 4] boxes, float[n, 3] scores, int64[n, 3] labels,
         float[n, 3, 28, 28] masks)
    <float half = {{0.5}}, float none = {{0}}, float margin = {{{margin}}},
     int64[1] two = {{2}}, int64[1] three = {{3}}, int64[1] one = {{1}},
     int64[4] across = {{1, 0, 1, 0}}, int64 nobody = {{-1}}>
    {{
      bright = Greater(image, half)
      seen = Cast<to = 1>(bright)
      columns = ReduceMax<keepdims = 0>(seen, two)
      rows = ReduceMax<keepdims = 0>(seen, three)
      left = ArgMax<axis = 2>(columns)
      top = ArgMax<axis = 2>(rows)
      last_column = ArgMax<axis = 2, select_last_index = 1>(columns)
      last_row = ArgMax<axis = 2, select_last_index = 1>(rows)
      right = Add(last_column, one)
      bottom = Add(last_row, one)
      whole = Concat<axis = 2>(left, top, right, bottom)
      corners = Cast<to = 1>(whole)
      sides = Gather<axis = 1>(image_size, across)
      inner = Sub(sides, margin)
      limits = Unsqueeze(inner, one)
      clipped = Min(corners, limits)
      there = ReduceMax<keepdims = 0>(columns, two)
      sure = Mul(there, weights)
      scores, order = TopK<axis = 1>(sure, three)
      found = Greater(scores, none)
      labels = Where(found, order, nobody)
      counted = Cast<to = 7>(found)
      num_dets = ReduceSum<keepdims = 0>(counted, one)
      places = Unsqueeze(order, two)
      like = Shape(clipped)
      spread = Expand(places, like)
      boxes = GatherElements<axis = 1>(clipped, spread)
      masks = Gather(shapes, order)
    }}"""


def detector(sides="h, w"):
    model = onnx.parser.parse_model(GRAPH.format(sides=sides, margin=MARGIN))
    constants = {"weights": np.array([SCORES], np.float32), "shapes": MASKS}
    model.graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in constants.items())
    onnx.checker.check_model(model)
    return model


def write(folder, name="spots", model=None, **facts):
    """The detector; it says itself, and a manifest beside it, how its inputs are made."""
    path, model = folder / f"{name}.onnx", detector() if model is None else model
    stated = {"preprocessing": FACTS, "classes": list(CLASSES), "precision": "fp32", **facts}
    helper.set_model_props(model, as_metadata(stated))
    onnx.save(model, path)
    files = [{"name": path.name, "size": path.stat().st_size, "sha256": sha256_of(path)}]
    path.with_suffix(".json").write_text(
        json.dumps({"schema": 1, "kind": "onnx", "files": files, **stated})
    )
    return path


def painted(height, width, **boxes):
    """A black picture with a rectangle, x1 y1 x2 y2, in each of some colours."""
    pixels = np.zeros((height, width, 3), np.uint8)
    for colour, (x1, y1, x2, y2) in boxes.items():
        pixels[y1:y2, x1:x2, CLASSES.index(colour)] = 255
    return pixels


def png(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def renamed(model, **names):
    """The same with other names of inputs and outputs."""
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    return helper.make_model(model.graph, opset_imports=model.opset_import, ir_version=8)
