"""The SimAM operator alone: every way of computing it, over shapes, against a copy of its map."""

from __future__ import annotations

import itertools
import json
import math
import os
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from simam_deploy.bench.operator_turns import COPY, command
from simam_deploy.bench.ratio import ratio_of
from simam_deploy.bench.records import OpRow
from simam_deploy.core.progress import Progress
from simam_deploy.core.specs import shape_text
from simam_deploy.errors import InputError

SHAPES = ((1, 64, 112, 112), (1, 256, 56, 56), (8, 256, 56, 56), (1, 2048, 7, 7), (1, 64, 200, 334))
"""A ResNet's first and last maps, one at batch 8, and a detector's."""
PRECISIONS = ("fp32", "fp16")


@dataclass(frozen=True)
class OpsPlan:
    """What is measured.

    Attributes:
        shapes: (N, C, H, W) each.
        precisions: Of the maps; SimAM itself computes in float32.
        starts: Of a process for each shape and precision.
        rounds: Over all starts.
    """

    shapes: Sequence[tuple[int, ...]] = SHAPES
    precisions: Sequence[str] = PRECISIONS
    starts: int = 5
    rounds: int = 50


def measure_operator(plan: OpsPlan, progress: Progress) -> Iterator[tuple[OpRow, ...]]:
    """Measure shape by shape, precision by precision: a row a way.

    Raises:
        InputError: A process ended before its figures were there.
    """
    for shape, precision in itertools.product(plan.shapes, plan.precisions):
        progress(f"measuring {shape_text(shape)} in {precision}")
        rounds = math.ceil(plan.rounds / plan.starts)
        starts = [_start(shape, precision, rounds) for _ in range(plan.starts)]
        yield tuple(_rows(shape, precision, starts))


def _start(shape: tuple[int, ...], precision: str, rounds: int) -> dict[str, Any]:
    """Measure in a process of its own."""
    answers, reply = os.pipe()
    with os.fdopen(answers) as read:
        try:
            process = subprocess.Popen(
                [*command(shape, precision, rounds, reply)],
                pass_fds=(reply,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # whoever is interrupted, the parent decides
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        finally:
            os.close(reply)
        with process:
            try:
                text = read.read()
            except BaseException:
                process.kill()
                raise
    if not text:
        raise InputError(
            f"the process that measured {shape_text(shape)} ended by {process.returncode}: it may "
            "have had too little memory"
        )
    found: dict[str, Any] = json.loads(text)
    return found


def _rows(
    shape: tuple[int, ...], precision: str, starts: Sequence[dict[str, Any]]
) -> Iterator[OpRow]:
    def rounds(way: str) -> list[list[float]]:
        return [start["milliseconds"].get(way, []) for start in starts]

    copy = statistics.median(itertools.chain(*rounds(COPY)))
    for way in (way for way in starts[0]["milliseconds"] if way != COPY):
        yield OpRow(
            shape=shape,
            precision=precision,
            way=way,
            taken_ms=statistics.median(itertools.chain(*rounds(way))),
            copy_ms=copy,
            ratio=ratio_of(rounds(COPY), rounds(way), "processor"),
        )
    for way, reason in starts[0]["reasons"].items():
        yield OpRow(shape, precision, way, reason=reason)
