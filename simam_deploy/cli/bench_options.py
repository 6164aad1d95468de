"""What the tables of `simam bench` have in common."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_outputs(p: argparse.ArgumentParser) -> None:
    """Add where figures go."""
    p.add_argument("--csv", type=Path, metavar="FILE", help="add figures to it as they are taken")
    p.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else")
    p.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
