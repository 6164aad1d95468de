"""Pictures with maps over them: what is looked at."""

import numpy as np
import pytest

from simam_deploy.pipeline.explain import Explanation
from simam_deploy.pipeline.explained import GradCam
from simam_deploy.pipeline.target import Target
from simam_deploy.report.explain_text import explain_table
from simam_deploy.report.overlay import VIRIDIS, colours, laid_over, sheet
from simam_deploy.source.samples.heatmap import Heatmap
from simam_deploy.source.samples.placement import Placement

HOSTILE = "tab\nby\x1b[2J\u202ecat" + "very long " * 60


def explained(height=40, width=60, box=None, name="tabby", cropped=False, cells=None):
    """A picture all grey, explained by four cells of which the last is the highest."""
    offset, made = ((0, -10), (height, width - 20)) if cropped else ((0, 0), (height, width))
    where = Placement((height, width), (height, width), offset)
    values = np.array([[0, 1], [2, 3]], np.float32) if cells is None else cells
    target = Target((("logits", (2,)),), 2, name, 1.5, 0, box)
    return Explanation(
        network=name,
        pixels=np.full((height, width, 3), 128, np.uint8),
        turned=False,
        grad_cam=GradCam("layer", values, where, made, target),
        attention=Heatmap("site", values / 10 + 0.6, where, made),
        detections=() if box is None else (target,),
        notes=(),
    )


def test_colours_are_brighter_the_higher_a_value_is():
    shown = colours(np.linspace(0, 1, 200, dtype=np.float32))
    light = shown @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > 0).all()
    assert np.array_equal(shown[[0, -1]], [VIRIDIS[0], VIRIDIS[-1]])


def test_what_was_not_seen_is_pale_and_has_no_colour():
    pixels = np.full((1, 3, 3), 60, np.uint8)
    low, high, unseen = laid_over(pixels, np.array([[0, 1, np.nan]], np.float32))[0].astype(int)
    assert unseen.tolist() == [unseen[0]] * 3
    assert unseen[0] > 180
    assert high[1] > low[1]
    assert np.ptp(high) > 60


def test_the_picture_is_told_below_the_colours():
    dark, light = (np.full((1, 1, 3), grey, np.uint8) for grey in (20, 230))
    for value in (0.0, 0.5, 1.0):
        values = np.full((1, 1), value, np.float32)
        apart = laid_over(light, values).astype(int) - laid_over(dark, values).astype(int)
        assert apart.min() > 30


def test_a_sheet_has_the_picture_and_both_maps_side_by_side():
    drawn = np.asarray(sheet(explained())).astype(int)
    panels = np.split(drawn[16:200, 16:-16], [320 + 8, 2 * 336 - 8], axis=1)
    grey, cam, gates = (panel[100, 40:280] for panel in panels)
    assert np.ptp(grey) == 0
    for colour in (cam, gates):
        assert np.ptp(colour, axis=1).max() > 40
    corner = drawn[16 + 200, 16 + 336 + 310]
    assert corner[0] > corner[2] + 60, "the highest cell is at the lower right, and yellow"


def test_a_crop_is_pale_at_both_sides():
    drawn = np.asarray(sheet(explained(cropped=True))).astype(int)
    for x in (5, 315):
        assert np.ptp(drawn[100, 16 + 336 + x]) == 0
    assert np.ptp(drawn[100, 16 + 336 + 100]) > 20


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (2000, 1500), (32, 32)])
def test_any_picture_is_drawn_at_a_size_to_look_at(size):
    drawn = sheet(explained(*size, box=(0.0, 0.0, 1.0, 1.0)))
    assert 320 <= max(drawn.height, drawn.width) <= 3 * 640 + 4 * 16
    assert drawn.height > 16


def test_names_are_cut_and_what_would_steer_is_not_written(capsys):
    found = explained(name=HOSTILE, box=(5.0, 5.0, 20.0, 20.0))
    assert sheet(found).width == 3 * 320 + 4 * 16
    text = explain_table(found, "out.png")
    assert "\x1b" not in text
    assert len(text.splitlines()) == 7


def test_a_flat_map_is_said_to_be_flat():
    text = explain_table(explained(cells=np.zeros((2, 2), np.float32)), "out.png")
    assert "layer, 2 x 2 cells, 0 to 0: flat" in text


def test_where_a_map_is_highest_is_said_in_the_picture():
    text = explain_table(explained(), "out.png")
    assert "class 2, tabby: logits[0, 2] = 1.5, the highest" in text
    assert "layer, 2 x 2 cells, 0 to 3, highest at x 45, y 30 of the picture" in text
