"""A whole detector in ONNX Runtime on one CPU thread, at 800 x 1344: how long, and where.

    python scripts/bench/detector_cpu.py OURS.onnx [--beside OTHER.onnx] [--rounds 5] [--csv FILE]

Files take turns, so that noise hits both; OTHER is of the same inputs. The shares are of one more
run of ours with ONNX Runtime's profiler, at its extended level, where nodes keep their names: a
layer belongs to the part that its weights are named after, what has no weights to its operator.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from tables import FACTS, facts, recorded

COLUMNS = (*FACTS, "file", "part", "seconds", "ratio", "share")
RESULTS = Path(__file__).parent / "results" / "detector_cpu.csv"
SIDES = (800, 1344)
PARTS = ("backbone", "neck", "rpn_head", "roi_head.bbox_head", "roi_head.mask_head")
Row = dict[str, Any]


def session(file: Path, **extra: Any) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    for name, value in extra.items():
        setattr(options, name, value)
    return ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def feeds() -> Mapping[str, np.ndarray]:
    """A picture of blocks and grain, which fills the input."""
    rng = np.random.default_rng(0)
    coarse = rng.standard_normal((1, 3, *(side // 16 for side in SIDES)))
    image = coarse.repeat(16, 2).repeat(16, 3) + 0.3 * rng.standard_normal((1, 3, *SIDES))
    return {"image": image.astype(np.float32), "image_size": np.float32([SIDES])}


def timed(files: list[Path], rounds: int) -> dict[Path, list[float]]:
    """Run every file in turns; the first round is to warm up."""
    sessions, given = {file: session(file) for file in files}, feeds()
    taken: dict[Path, list[float]] = {file: [] for file in files}
    for turn in range(rounds + 1):
        for file, each in sessions.items():
            start = time.perf_counter()
            each.run(None, dict(given))
            if turn:
                taken[file].append(time.perf_counter() - start)
    return taken


def shares(file: Path) -> Iterator[tuple[str, float]]:
    """Profile one run: seconds by part."""
    with tempfile.TemporaryDirectory() as folder:
        profiled = session(
            file,
            enable_profiling=True,
            profile_file_prefix=f"{folder}/p",
            graph_optimization_level=ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
        )
        for _ in range(2):
            profiled.run(None, dict(feeds()))
        events = json.loads(Path(profiled.end_profiling()).read_text())
    parts, spent = parts_of(file), Counter[str]()
    for event in events:
        name = event["name"].removesuffix("_kernel_time")
        if event.get("cat") == "Node" and name != event["name"]:
            op = event["args"]["op_name"]
            spent[parts.get(name, op)] += event["dur"] / 1e6 / 2
    yield from spent.most_common()


def parts_of(file: Path) -> dict[str, str]:
    """Say by node which part its weights are of."""
    found = {}
    for node in onnx.load(file).graph.node:
        named = (p for name in node.input for p in PARTS if name.startswith(p))
        part = next(named, None)
        if part is not None:
            found[node.name] = part
    return found


def rows(ours: Path, other: Path | None, rounds: int) -> Iterator[Row]:
    files = [ours, *([other] if other else [])]
    taken = {file: statistics.median(times) for file, times in timed(files, rounds).items()}
    stamp = facts("onnxruntime")
    for file, seconds in taken.items():
        ratio = round(seconds / taken[files[-1]], 3) if other else ""
        yield {**stamp, "file": file.name, "part": "all", "seconds": round(seconds, 3),
               "ratio": ratio}  # fmt: skip
    spent = dict(shares(ours))
    for part, seconds in spent.items():
        share = seconds / sum(spent.values())
        if share > 0.002:
            yield {**stamp, "file": ours.name, "part": part, "seconds": round(seconds, 3),
                   "share": round(share, 3)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--beside", type=Path, help="another file of the same inputs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--csv", type=Path, default=RESULTS)
    args = parser.parse_args()
    for row in recorded(args.csv, COLUMNS, rows(args.file, args.beside, args.rounds)):
        print(*(row.get(column, "") for column in COLUMNS[len(FACTS) :]), sep="  ", flush=True)


if __name__ == "__main__":
    main()
