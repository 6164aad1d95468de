"""`simam doctor`: what is installed, what it can do here, and what to install for the rest."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence

from simam_deploy.cli.help import fitted
from simam_deploy.cli.process import run

_EPILOG = """Nothing is installed or changed. What is marked -- is missing or cannot be used here.
Exit codes: 0 looked, 130 interrupted."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    p = argparse.ArgumentParser(
        prog="simam-doctor",
        description="Show what this machine can do with SimAM networks, and what is missing.",
        epilog=_EPILOG,
    )
    p.add_argument("--json", action="store_true", help="one JSON document on stdout, nothing else")
    p.add_argument("--cache", action="store_true", help="list the engines that are kept instead")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the result is the process's exit code."""
    return run(parser(), lambda args: _examine(args.json, args.cache), argv)


def _examine(as_json: bool, cache: bool) -> None:
    from simam_deploy.pipeline.doctor import Diagnosis, diagnose, list_cache
    from simam_deploy.report.doctor_text import doctor_table

    with contextlib.redirect_stdout(sys.stderr):  # libraries that print must not spoil --json
        diagnosis = Diagnosis(list_cache()) if cache else diagnose()
    print(json.dumps(diagnosis.to_json(), indent=2) if as_json else fitted(doctor_table(diagnosis)))
