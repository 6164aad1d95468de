import json
import math

import numpy as np
import onnx_ir as ir
import pytest

from simam_deploy.core.inspection import PlaneRange
from simam_deploy.graph.lower.portable import lower_portable
from simam_deploy.precision.half.audit import audit, measure
from simam_deploy.precision.half.half import to_half
from tests.graph.onnx_text import simam_model
from tests.precision.half.graphs import BF16, FP16, naive


@pytest.mark.parametrize(
    ("height", "width", "limit"),
    [(112, 112, 2.285), (56, 56, 4.571), (28, 28, 9.147), (7, 7, 36.94), (200, 334, 0.9903)],
)
def test_limits_follow_from_the_shape(height, width, limit):
    (finding,) = audit(simam_model(f"n,3,{height},{width}"))
    assert finding.std_limit == pytest.approx(limit, rel=1e-3)
    assert finding.deviation_limit == pytest.approx(math.sqrt(65504))
    assert finding.island
    n = height * width - 1
    assert finding.count == (math.inf if n > 65504 else float(np.float16(n)))
    assert finding.level == ("warning" if n > 65504 else "ok")


def test_the_count_rounds_as_float16_does():
    (finding,) = audit(simam_model("n,3,56,56"))
    assert finding.count == 3136.0  # of 3135


def test_a_free_size_has_no_limit_before_a_sample():
    graph = simam_model("n,3,h,w")
    (finding,) = audit(graph)
    assert (finding.pixels, finding.std_limit, finding.margin) == (None, None, None)
    (finding,) = audit(graph, measured={finding.name: PlaneRange(3136, 1.0, 4.0)})
    assert finding.std_limit == pytest.approx(4.571, rel=1e-3)


@pytest.mark.parametrize(
    ("std", "deviation", "in_half", "in_float32"),
    [
        (1.0, 4.0, "ok", "ok"),
        (2.4, 9.0, "warning", "warning"),
        (5.0, 20.0, "error", "warning"),
        (1.0, 130.0, "warning", "warning"),
        (1.0, 300.0, "error", "warning"),
    ],
)
def test_levels(std, deviation, in_half, in_float32):
    seen = PlaneRange(3136, std, deviation)
    (half,) = audit(naive(56, 56), measured={"y": seen, **_named(naive(56, 56), seen)})
    assert (half.level, half.island) == (in_half, False)
    graph = simam_model("1,4,56,56")
    (full,) = audit(graph, measured=_named(graph, seen))
    assert (full.level, full.island) == (in_float32, True)
    assert bool(full.reason) == (full.level != "ok")


def _named(graph: ir.Model, seen: PlaneRange) -> dict[str, PlaneRange]:
    return {finding.name: seen for finding in audit(graph)}


def test_a_site_in_half_is_a_warning_without_a_sample():
    (finding,) = audit(naive(56, 56))
    assert finding.level == "warning"
    assert "4.57" in finding.reason


@pytest.mark.parametrize("dtype", [FP16, BF16])
def test_our_own_islands_are_seen_as_such(dtype):
    graph = simam_model("1,4,56,56", 22)
    to_half(graph, dtype, keep_io=False)
    lower_portable(graph)
    (finding,) = audit(graph)
    assert (finding.island, finding.level) == (True, "ok")


def test_bfloat16_does_not_overflow():
    graph = simam_model("1,4,200,334")
    (finding,) = audit(graph, BF16, _named(graph, PlaneRange(66800, 1e4, 1e6)))
    assert finding.level == "ok"
    assert finding.margin > 1e9


def test_measures_the_widest_plane_and_pixel():
    x = np.zeros((2, 3, 4, 5), np.float16)
    x[1, 2] = 300 * np.indices((4, 5)).sum(axis=0) % 7
    x[0, 1, 0, 0] = 60000  # squares overflow in half: measured in float64
    planes = x.astype(np.float64).reshape(6, 20)
    seen = measure(x)
    assert seen.std == pytest.approx(planes.std(axis=1, ddof=1).max())
    assert seen.deviation == pytest.approx(57000)
    assert seen.pixels == 20


def test_json_holds_no_infinity():
    (finding,) = audit(simam_model("n,3,300,300"))
    document = json.loads(json.dumps(finding.to_json(), allow_nan=False))
    assert document["count"] is None
    assert document["margin"] is None
    assert document["pixels"] == 90000


def test_a_nan_in_the_sample_is_not_ok():
    graph = simam_model("1,4,9,9")
    seen = measure(np.full((1, 4, 9, 9), np.nan, np.float32))
    (finding,) = audit(graph, measured=_named(graph, seen))
    assert finding.level == "warning"
    assert finding.to_json()["measured"]["std"] is None
