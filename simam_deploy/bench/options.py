"""What a user may ask of a benchmark."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from simam_deploy.bench.ratio import LEAST_STARTS
from simam_deploy.core.options import FILE, Form, option, read_number, read_positive
from simam_deploy.runtime.onnx_runner import PROVIDERS


def read_batches(text: str) -> tuple[int, ...]:
    """Read `1,8`."""
    return tuple(dict.fromkeys(map(read_positive, text.split(","))))


def _read_providers(text: str) -> tuple[str, ...]:
    """Read `cpu,cuda`."""
    names = tuple(dict.fromkeys(text.split(",")))
    if unknown := [name for name in names if name not in PROVIDERS]:
        raise ValueError(f"not a provider, which is one of {', '.join(PROVIDERS)}: {unknown[0]!r}")
    return names


def _read_seconds(text: str) -> float:
    """Read a time of a day at most."""
    number = read_number(text)
    if not 0 < number <= 86400:
        raise ValueError(f"not seconds, above 0 and up to 86400: {text!r}")
    return number


_LIST = Form(read_batches, lambda batches: ",".join(map(str, batches)))


@dataclass(frozen=True)
class BenchOptions:
    """How models are measured.

    Attributes:
        batches: Rows of a run.
        threads: That a run computes with.
        starts: Of a process for each model; from 3 on, ratios have an interval.
        rounds: In which models take turns, at each batch, over all starts.
        seconds: For all rounds together, in place of their number.
        providers: ONNX Runtime's, for .onnx files; None takes those that are there.
        compiled: Whether what PyTorch runs is measured by torch.compile as well.
        reference: The float32 model that outputs are held against; None takes the first of those
            that are measured.
        trust_engine: Whether a plan is loaded without its manifest's word: a plan can run code.
        roofline: Whether SimAM sites are held against copies.
    """

    batches: Sequence[int] = option(
        (1,), "rows of a run, e.g. 1,8 (default: 1)", _LIST, said="batch", metavar="N,M"
    )
    threads: int = option(
        1,
        "that a run computes with (default: 1, whose processor time is steadiest)",
        Form(read_positive),
        metavar="N",
    )
    starts: int = option(
        7,
        f"of a process for each model; {LEAST_STARTS} or more give an interval (default: 7)",
        Form(read_positive),
        metavar="N",
    )
    rounds: int = option(
        70,
        "in which models take turns at each batch, over all starts (default: 70)",
        Form(read_positive),
        metavar="N",
    )
    seconds: float | None = option(
        None, "for all rounds together, in place of their number", Form(_read_seconds, repr),
        metavar="S",
    )  # fmt: skip
    providers: Sequence[str] | None = option(
        None,
        "ONNX Runtime's: cpu, cuda, tensorrt (default: those that are there)",
        Form(_read_providers, ",".join),
        said="provider",
        metavar="P,Q",
    )
    compiled: bool = option(
        False, "what PyTorch runs is measured by torch.compile as well", said="compile"
    )
    reference: str | os.PathLike[str] | None = option(
        None,
        "the float32 model that outputs are held against (default: the first of those measured)",
        FILE,
        metavar="FILE",
    )
    trust_engine: bool = option(
        False, "load a plan without its manifest's word: a plan can run code"
    )
    roofline: bool = option(True, "leave out SimAM sites against copies")
