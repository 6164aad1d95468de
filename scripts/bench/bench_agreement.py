"""Whether the intervals of `simam-bench` hold: two benchmarks agree, and 5 % more work is seen.

    python scripts/bench/bench_agreement.py [--times 3] [--csv FILE]

Three files: a chain of 20 equal convolutions, the same file again, and a chain of 21, which is 5 %
more work by construction. Each time, two benchmarks of all three are made, one after the other;
what must hold of them is printed with every figure. What was expected stands in predictions.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from tables import FACTS, facts, recorded

from simam_deploy.bench.options import BenchOptions
from simam_deploy.bench.records import Ratio
from simam_deploy.pipeline.bench import bench_models
from simam_deploy.source.options import NetworkOptions

RESULTS = Path(__file__).parent / "results" / "bench_agreement.csv"
COLUMNS = (*FACTS, "time", "file", "which", "times_as_fast", "low", "high", "holds", "agree")
LAYERS, CHANNELS, SIDE = 20, 32, 28
TRUE = {"same": 1.0, "slower": LAYERS / (LAYERS + 1)}


def chain(layers: int, file: Path) -> Path:
    """Write a chain of equal convolutions."""
    rng = np.random.default_rng(0)
    helper, shape = onnx.helper, [1, CHANNELS, SIDE, SIDE]
    weights = rng.standard_normal((CHANNELS, CHANNELS, 3, 3)).astype(np.float32) / 17
    nodes = [
        helper.make_node("Conv", [f"v{i}", "w"], [f"v{i + 1}"], f"conv{i}", pads=[1, 1, 1, 1])
        for i in range(layers)
    ]
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name in ("v0", f"v{layers}")
    ]
    graph = helper.make_graph(
        nodes, "chain", ends[:1], ends[1:], [onnx.numpy_helper.from_array(weights, "w")]
    )
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), file)
    return file


def overlap(one: Ratio, other: Ratio) -> bool:
    assert None not in (one.low, one.high, other.low, other.high)
    return bool(one.low <= other.high and other.low <= one.high)


def rows(times: int, options: BenchOptions) -> Iterator[dict[str, object]]:
    stamp = facts("onnxruntime")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [
            chain(LAYERS, folder / "first.onnx"),
            chain(LAYERS, folder / "same.onnx"),
            chain(LAYERS + 1, folder / "slower.onnx"),
        ]
        for time in range(times):
            network = NetworkOptions(allow_none=True)
            pair = [bench_models(files, network, options=options) for _ in range(2)]
            for index, file in enumerate(("same", "slower"), 1):
                ratios = [report.subjects[index].batches[0].ratio for report in pair]
                for which, ratio in enumerate(ratios):
                    yield {
                        **stamp, "time": time + 1, "file": file, "which": "ab"[which],
                        "times_as_fast": f"{ratio.value:.4f}", "low": f"{ratio.low:.4f}",
                        "high": f"{ratio.high:.4f}",
                        "holds": ratio.low <= TRUE[file] <= ratio.high,
                        "agree": overlap(*ratios),
                    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=70)
    parser.add_argument("--csv", type=Path, default=RESULTS)
    args = parser.parse_args()
    options = BenchOptions(starts=args.starts, rounds=args.rounds, roofline=False)
    seen = []
    for row in recorded(args.csv, COLUMNS, rows(args.times, options)):
        print(*(row[column] for column in COLUMNS[len(FACTS) :]), sep="  ", flush=True)
        seen += [row] if row["file"] == "slower" else []
    found = sum(float(str(row["high"])) < 1 for row in seen)
    print(f"5 % more work is seen in {found} of {len(seen)} benchmarks")


if __name__ == "__main__":
    main()
