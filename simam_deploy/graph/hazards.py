"""Where a SimAM breaks: single-pixel maps, and sums that fp16 does not hold."""

from __future__ import annotations

import math

import onnx_ir as ir

from simam_deploy.graph.recognise import Site

FP16_MAX = 65504.0
_LARGEST_D = math.sqrt(FP16_MAX)
_CANCELS = "E[x^2] - E[x]^2 cancels: the gate is off by 2e-2 in float32 at a mean of 1000 std"


def area_of(site: Site) -> int | None:
    """Return the pixels of a plane, None where that is not a number."""
    sizes = [size for size in site.plane if isinstance(size, int)]
    return math.prod(sizes) if sizes and len(sizes) == len(site.plane) else None


def fp16_std(area: int | None) -> float | None:
    """Return the standard deviation of a plane of `area` pixels whose sum of d^2 is fp16's largest.

    sum(d^2) = (H*W - 1) * std^2, so that std = sqrt(65504 / (H*W - 1)).
    """
    return None if area is None or area < 2 else math.sqrt(FP16_MAX / (area - 1))


def hazards_of(site: Site) -> tuple[str, ...]:
    """Say what goes wrong at a site as it is written, else what would in a naive fp16 graph."""
    area = area_of(site)
    if area == 1:
        return ("H*W = 1: divides by zero",)
    half = _computes_in_half(site)
    found = [_CANCELS] if site.form == "moments" else []
    if area is not None and area - 1 > FP16_MAX:
        found.append(f"n = {area - 1} exceeds fp16's 65504")
    if half and site.form == "var":
        found.append(f"fp16: d^2 overflows where |x - mean| > {_LARGEST_D:.0f}")
    elif half and site.form in ("reduce-sum", "flattened", "moments"):
        limit = fp16_std(area)
        where = "sqrt(65504 / (H*W - 1))" if limit is None else f"{limit:.3g}"
        found.append(f"fp16: collapses where a plane's std > {where}")
    return tuple(found)


def _computes_in_half(site: Site) -> bool:
    """Tell whether the site's sums are fp16: of its own type, or by a Cast to it."""
    if not site.island:
        return site.dtype == ir.DataType.FLOAT16
    casts = [node for node in site.nodes if node.op_type == "Cast"]
    targets = {node.attributes.get_int("to", 0) for node in casts}
    return site.dtype != ir.DataType.FLOAT16 and ir.DataType.FLOAT16 in targets
