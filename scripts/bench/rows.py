"""How long a row has to be for TensorRT-RTX to make one kernel of a SimAM: what `wide` rests on.

A convolution, SimAM, a Relu and a convolution, for planes of many sizes: kernels of the plan as
`flat` writes it, and with each row written behind itself until it has `shortest` elements. Plans
are built without a GPU.

    python scripts/bench/rows.py [--csv FILE]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import onnx_ir as ir
from engines import launches
from tables import FACTS, facts, recorded

from simam_deploy.graph.lower import wide
from simam_deploy.precision.half.half import to_half

COLUMNS = (*FACTS, "height", "width", "precision", "shortest", "row", "launches")
RESULTS = Path(__file__).parent / "results" / "rows.csv"
SIZES = (
    (7, 7),
    (14, 14),
    (16, 17),
    (18, 18),
    (18, 19),
    (19, 19),
    (19, 20),
    (16, 24),
    (5, 77),
    (20, 20),
)
SHORTEST = (0, 257, 325, 352, 370, 384, 385, 400)
CHANNELS = 64


def network(height: int, width: int) -> ir.Model:
    shape = f"float[2,{CHANNELS},{height},{width}]"
    proto = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18, "simam" : 1]> g ({shape} x) => ({shape} y)
            <{shape} s, {shape} r>
        {{
            a = Conv<pads = [1, 1, 1, 1]>(x, k)
            s = simam.SimAM<e_lambda = 0.1>(a)
            r = Relu(s)
            y = Conv<pads = [1, 1, 1, 1]>(r, k)
        }}"""
    )
    weights = np.random.default_rng(0).standard_normal((CHANNELS, CHANNELS, 3, 3))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weights.astype(np.float32), "k"))
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


def rows() -> Iterator[dict[str, Any]]:
    stamp = facts("tensorrt-rtx-cu13")
    for height, width in SIZES:
        for precision in ("fp32", "fp16"):
            for shortest in SHORTEST:
                model = network(height, width)
                if precision == "fp16":
                    to_half(model, ir.DataType.FLOAT16)
                with mock.patch.object(wide, "SHORTEST_ROW", shortest):
                    wide.lower_wide(model)
                area = height * width
                yield {
                    **stamp,
                    "height": height,
                    "width": width,
                    "precision": precision,
                    "shortest": shortest,
                    "row": max(1, -(-shortest // area)) * area,
                    "launches": launches(model),
                }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, default=RESULTS)
    for row in recorded(parser.parse_args().csv, COLUMNS, rows()):
        print(*(row[column] for column in COLUMNS[len(FACTS) :]), sep="  ", flush=True)


if __name__ == "__main__":
    main()
