"""A whole detector in ONNX Runtime on one CPU thread, at 800 x 1344: how long, and where.

    python scripts/bench/detector_cpu.py OURS.onnx [--beside OTHER.onnx] [--rounds 5] [--csv FILE]

Files take turns, OTHER is of the same inputs. Times are of the processor, medians of the rounds:
work of others costs them less than the clock's. A ratio is the median of the rounds' own. The first
file is told by parts as well, by two more runs with ONNX Runtime's profiler, the less of each
node's: a layer belongs to the part that its weights are named after, RoIAlign and the suppression
to themselves, and what has no weights to what it computes with. The profiler goes by the clock, so
that a part's seconds are its share of the processor's.
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

COLUMNS = (*FACTS, "file", "detections", "part", "seconds", "ratio", "share")
RESULTS = Path(__file__).parent / "results" / "detector_cpu.csv"
SIDES = (800, 1344)
PARTS = ("backbone", "neck", "rpn_head", "roi_head.bbox_head", "roi_head.mask_head")
OPERATORS = {"RoiAlign": "RoIAlign", "NonMaxSuppression": "suppression", "TopK": "suppression"}
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


def timed(files: list[Path], rounds: int) -> tuple[dict[Path, list[float]], int]:
    """Run every file in turns, and count what the first detects; the first round is to warm up."""
    sessions, given = {file: session(file) for file in files}, feeds()
    taken: dict[Path, list[float]] = {file: [] for file in files}
    found = int(sessions[files[0]].run(["num_dets"], dict(given))[0][0])
    for turn in range(rounds + 1):
        for file, each in sessions.items():
            start = time.process_time()
            each.run(None, dict(given))
            if turn:
                taken[file].append(time.process_time() - start)
    return taken, found


def shares(file: Path) -> Iterator[tuple[str, float]]:
    """Profile two runs: shares by part, the largest first."""
    with tempfile.TemporaryDirectory() as folder:
        options = {"enable_profiling": True, "profile_file_prefix": f"{folder}/p"}
        profiled = session(file, **options)
        for _ in range(2):
            profiled.run(None, dict(feeds()))
        events = json.loads(Path(profiled.end_profiling()).read_text())
    least: dict[tuple[str, str], float] = {}
    for event in events:
        name = event["name"].removesuffix("_kernel_time")
        if event.get("cat") == "Node" and name != event["name"]:
            key = name, event["args"]["op_name"]
            least[key] = min(least.get(key, np.inf), event["dur"] / 1e6)
    parts, spent = parts_of(file), Counter[str]()
    for (name, op), seconds in least.items():
        spent[part_of(name, op, parts)] += seconds
    yield from ((part, seconds / spent.total()) for part, seconds in spent.most_common())


def part_of(name: str, op: str, parts: Mapping[str, str]) -> str:
    """Tell a profiled node's part; ONNX Runtime names what it fuses after what is in it."""
    known = name.removesuffix("_nchwc").removeprefix("fused ")
    return parts.get(known, "layout" if op.startswith("Reorder") else "others")


def parts_of(file: Path) -> dict[str, str]:
    """Say the part of every node, by its name and by its results' names."""
    found: dict[str, str] = {}
    for node in onnx.load(file, load_external_data=False).graph.node:
        named = (p for name in node.input for p in PARTS if name.startswith(p))
        before = (found[name] for name in node.input if name in found)
        part = OPERATORS.get(node.op_type) or next(named, None) or next(before, "others")
        found |= dict.fromkeys((node.name, *node.output), part)
    return found


def rows(ours: Path, other: Path | None, rounds: int) -> Iterator[Row]:
    files = [ours, *([other] if other else [])]
    taken, found = timed(files, rounds)
    stamp = {**facts("onnxruntime"), "detections": found}
    whole = {file: statistics.median(times) for file, times in taken.items()}
    for file in files:
        by_round = zip(taken[file], taken[files[-1]], strict=True)
        ratio = round(statistics.median(one / another for one, another in by_round), 3)
        yield {**stamp, "file": file.name, "part": "all", "seconds": round(whole[file], 3),
               "ratio": ratio if other else ""}  # fmt: skip
    for part, share in shares(ours):
        yield {**stamp, "file": ours.name, "part": part, "share": round(share, 3),
               "seconds": round(share * whole[ours], 3)}  # fmt: skip


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
