"""SimAM beside SE, CBAM, ECA, GC, SRM, BAM and none, deployed: all of `simam-bench attention`.

python scripts/bench/attention.py [--csv FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from simam_deploy.cli.bench import main as bench

RESULTS = Path(__file__).parent / "results" / "attention.csv"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, default=RESULTS, help="where to put the figures")
    return bench(["attention", "--csv", str(parser.parse_args().csv)])


if __name__ == "__main__":
    raise SystemExit(main())
