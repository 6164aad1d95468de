"""Settings that no detector can compute with are refused in one line."""

import pytest

from simam_deploy.errors import InputError
from simam_deploy.models.detectors.settings import DetectorSettings


def test_the_published_ones_are_three_anchors_a_cell() -> None:
    assert DetectorSettings().anchors == 3
    assert DetectorSettings(scales=(8.0, 16.0)).anchors == 6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"strides": (4, 8, 16, 32)}, r"strides \(4, 8, 16, 32\): it must be 5 numbers"),
        ({"strides": (4, 8, 16, 32, 0)}, "strides .* 1 or more"),
        ({"scales": ()}, "without scales and ratios"),
        ({"scales": (8.0, -1.0)}, "scales .* above 0"),
        ({"ratios": (float("inf"),)}, "ratios .* above 0"),
        ({"rpn_stds": (1.0, 1.0, 0.0, 1.0)}, "rpn_stds .* above 0"),
        ({"box_stds": (0.1,)}, "box_stds .* 4 numbers"),
        ({"box_means": (0.0, 0.0, 0.0, float("nan"))}, "box_means .* finite"),
        ({"nms_pre": 0}, "nms_pre 0: it must be from 1 to 10000"),
        ({"max_proposals": 10**9}, "max_proposals 1000000000: .* from 1 to 10000"),
        ({"max_detections": -1}, "max_detections -1"),
        ({"rpn_iou": 1.5}, "rpn_iou 1.5: it must be from 0 to 1"),
        ({"iou_threshold": float("nan")}, "iou_threshold nan"),
        ({"score_threshold": -0.1}, "score_threshold -0.1"),
        ({"min_size": -1}, "min_size -1: it must be 0 or more"),
        ({"sampling_ratio": 17}, "sampling_ratio 17: it must be from 0 to 16"),
        ({"finest_scale": 0}, "finest_scale 0: it must be above 0"),
        ({"mask_size": 1000}, "mask_size 1000: it must be from 1 to 64"),
    ],
)
def test_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        DetectorSettings(**change)  # type: ignore[arg-type]


def test_a_long_value_is_cut() -> None:
    with pytest.raises(InputError) as caught:
        DetectorSettings(ratios=(0.0,) * 10_000)
    assert len(str(caught.value)) < 200
