"""The parts, those that tell most first."""

from __future__ import annotations

from gpu.part import PARTS_TABLE, Part

_ERROR = ("error", "allowed")
_TIMES = ("ms_50", "ms_90", "ms_99")
_SITE = ("shape", "dtype", "layout", "epilogue")
_FILE = ("network", "precision", "quantize", "library")
_PLAN = ("form", "targets", "launches", "megabytes", "batch", "cuda_graph")


def _plans(network: str, minutes: float) -> Part:
    return Part(
        f"plans-{network}", minutes, "plans", "gpu.plans", _FILE,
        (*_PLAN, *_TIMES, "over_portable", *_ERROR),
        f"{network} in every form and precision: outputs, latencies", of=network,
    )  # fmt: skip


PARTS = (
    Part(
        "sanitizer", 5, "sanitizer", "gpu.sanitizer", ("tool",), ("exit_code", "said"),
        "every kernel alone, under memcheck and under racecheck",
    ),
    Part(
        "kernel-accuracy", 3, "kernel_accuracy", "gpu.kernel_accuracy", _SITE,
        ("error", "tolerance"), "the torch operators against float64",
    ),
    Part(
        "kernel-speed", 5, "kernel_speed", "gpu.kernel_speed", _SITE,
        ("contender", "microseconds", "gigabytes_per_second", "per_cent_of_copy"),
        "the kernel against a copy, eager, torch.compile",
    ),
    Part(
        "targets", 2, "targets", "gpu.targets", ("network", "precision", "library", "targets"),
        ("covers", "taken", *_ERROR, *_TIMES, "said"),
        "whether this GPU takes the library's default plan, and which others", fakes=True,
    ),
    _plans("resnet50", 3),
    Part(
        "simam-build", 2, "product", "gpu.product", _FILE,
        ("seconds", "kept", "launches", "proved", "said"),
        "the form that is kept by time, and the product's own proof of it", fakes=True,
    ),
    _plans("resnet18", 1.5),
    _plans("mobilenet_v2", 1.5),
    _plans("yolo", 1.5),
    Part(
        "detection-operators", 1, "detection_ops", "gpu.detection_ops", ("operator",),
        ("builds", "runs", *_ERROR, "said"), "RoiAlign and NonMaxSuppression in TensorRT-RTX",
    ),
    Part(
        "cuda-provider", 1.5, "cuda_provider", "gpu.cuda_provider", ("network", "precision"),
        ("batch", *_TIMES, *_ERROR), "ONNX Runtime on this GPU",
    ),
    Part(
        "detection-accuracy", 1, "detection_accuracy", "gpu.detection_accuracy",
        ("operator", "case"), ("error", "tolerance"),
        "a detector's operators against the host's",
    ),
    Part(
        "detection-speed", 1.5, "detection_speed", "gpu.detection_speed", ("operator", "case"),
        ("contender", "microseconds"), "a detector's operators against torchvision's",
    ),
    Part(
        "stress", 2, "stress", "gpu.stress", ("network", "precision", "library"),
        ("what", "value"), "a runner for long, by threads, across profiles", fakes=True,
    ),
)  # fmt: skip
"""Their minutes are bounds: what is usual is half of that, and 25 are enough for all."""
DRY_PLANS = Part(
    "plans", 1, "plans", "gpu.plans", _FILE, PARTS[4].columns,
    "plans of the smallest graphs, by the tests' TensorRT", fakes=True,
)  # fmt: skip
"""A dry run's one part of plans, which it does not build of whole networks."""


def tables() -> list[str]:
    """Name the tables, that of the parts among them."""
    return [*dict.fromkeys((PARTS_TABLE, *(part.table for part in PARTS)))]


def parts_of(dry: bool) -> list[Part]:
    """Give the parts of a run."""
    if not dry:
        return [*PARTS]
    kept = [part for part in PARTS if not part.of]
    return [*kept, DRY_PLANS]
