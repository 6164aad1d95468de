"""A picture with a map of a network laid over it, as a PNG file.

Colours are viridis' (van der Walt and Smith, 2015, CC0): evenly brighter from low to high, so that
they are told apart by whoever is colour-blind, and in grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simam_deploy.pipeline.explain import Explanation
from simam_deploy.pipeline.target import Target
from simam_deploy.report.explain_text import describe_target
from simam_deploy.report.terminal import one_line
from simam_deploy.source.samples.heatmap import Heatmap
from simam_deploy.source.samples.pictures import from_array

if TYPE_CHECKING:
    from PIL import Image

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

VIRIDIS = (
    (68, 1, 84), (71, 45, 123), (59, 82, 139), (44, 114, 142), (33, 145, 140), (40, 174, 128),
    (94, 201, 98), (173, 220, 48), (253, 231, 37),
)  # fmt: skip
"""Every 32nd of its 256 colours; between them a straight line is within 3 of 255 of it."""
_FAINT, _STRONG = 0.3, 0.75
"""How much of a colour lies over the picture at the lowest value, and at the highest."""
_DARKEST, _LIGHTEST = 40, 225
"""Of the grey below colours: on black and on white a colour would not be told again."""
_LONGEST, _SHORTEST = 640, 320
"""A shown picture's longer side is brought between these, in pixels."""
_MARGIN, _GAP, _BAR, _TEXT, _LINE = 16, 6, 10, 15, 20
"""Around panels, around a colour bar, the bar's height, that of letters and of a line; pixels."""
_LINES = 2
"""Of text below a picture."""
_INK, _PAPER = (30, 30, 30), (255, 255, 255)


def sheet(explanation: Explanation) -> Image.Image:
    """Draw the picture, and beside it every map that was computed, laid over it."""
    shown = _shown(explanation.pixels)
    cam, gates = explanation.grad_cam, explanation.attention
    target = None if cam is None else cam.target
    height, width = explanation.pixels.shape[:2]
    about = f"{explanation.network}, picture {width} x {height}"
    said = () if target is None else (describe_target(target),)
    panels = [_panel(_framed(shown, target, width), (about, *said))]
    for of, what, low in ((cam, "Grad-CAM", 0.0), (gates, "SimAM's gates", None)):
        if of is not None:
            panels.append(_mapped(shown, of, what, low, target, width))
    return _side_by_side(panels)


def colours(values: Floats) -> Floats:
    """Give the colours (..., 3), 0 to 255, of values from 0 to 1; NaN's are NaN."""
    stops = np.linspace(0, 1, len(VIRIDIS))
    channels = [np.interp(values, stops, channel) for channel in zip(*VIRIDIS, strict=True)]
    return np.stack(channels, -1).astype(np.float32)


def laid_over(pixels: Pixels, values: Floats) -> Pixels:
    """Lay values over a picture in grey, the more of a colour the higher its value is.

    Args:
        pixels: (H, W, 3).
        values: (H, W), 0 to 1; where they are NaN, which the network did not see, the grey is pale.

    Returns:
        (H, W, 3).
    """
    light = np.array([0.299, 0.587, 0.114], np.float32)  # Rec. 601
    grey = (_DARKEST + (_LIGHTEST - _DARKEST) / 255 * (pixels @ light))[..., None]
    share = (_FAINT + (_STRONG - _FAINT) * values)[..., None]
    mixed = grey * (1 - share) + colours(values) * share
    unseen = np.isnan(values)[..., None]
    return np.where(unseen, 255 - (255 - grey) * _FAINT, mixed).round().astype(np.uint8)


def _mapped(
    shown: Pixels, of: Heatmap, what: str, low: float | None, target: Target | None, width: int
) -> Image.Image:
    """Lay a map over the picture, from its lowest value, or one that is given, to its highest."""
    values = of.over_picture((shown.shape[0], shown.shape[1]))
    low = float(np.nanmin(values)) if low is None else low
    high = float(np.nanmax(values))
    scaled = (values - low) / ((high - low) or 1)
    cells = " x ".join(map(str, of.cells.shape))
    lines = (f"{what} of {of.layer}, {cells} cells",)
    ends = f"{low:.4g}", f"{high:.4g}"
    return _panel(_framed(laid_over(shown, scaled), target, width), lines, ends)


def _shown(pixels: Pixels) -> Pixels:
    """Bring a picture to a size that is looked at: small ones keep their pixels as squares."""
    from PIL import Image

    longest = max(pixels.shape[:2])
    factor = min(max(longest, _SHORTEST), _LONGEST) / longest
    height, width = (max(1, round(side * factor)) for side in pixels.shape[:2])
    kind = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS
    return np.asarray(from_array(pixels).resize((width, height), kind))


def _framed(pixels: Pixels, target: Target | None, width: int) -> Image.Image:
    """Draw the box of a detection, in a line that is seen on light and on dark.

    Args:
        pixels: The picture as it is shown.
        target: The detection; without a box nothing is drawn.
        width: Of the picture as it was given.
    """
    from PIL import ImageDraw

    picture = from_array(pixels)
    if target is not None and target.box is not None:
        x1, y1, x2, y2 = (side * pixels.shape[1] / width for side in target.box)
        corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1), (x2, y1)]
        for colour, thick in ((_INK, 5), (_PAPER, 2)):
            ImageDraw.Draw(picture).line(corners, colour, thick)
    return picture


def _panel(
    picture: Image.Image, lines: Sequence[str], ends: tuple[str, str] | None = None
) -> Image.Image:
    """Write lines below a picture, and between a bar of all colours with the values at its ends."""
    from PIL import Image, ImageDraw, ImageFont

    width, height = picture.size
    font = ImageFont.load_default(_TEXT)
    paper = Image.new("RGB", (width, height + 2 * _GAP + _BAR + _LINES * _LINE), _PAPER)
    paper.paste(picture)
    draw, top = ImageDraw.Draw(paper), height + _GAP
    if ends is not None:
        row = colours(np.linspace(0, 1, width, dtype=np.float32))
        ramp = np.broadcast_to(row, (_BAR, width, 3)).round().astype(np.uint8)
        paper.paste(from_array(ramp), (0, top))
        top += _BAR + _GAP
        draw.text((0, top), ends[0], _INK, font)
        draw.text((width, top), ends[1], _INK, font, anchor="ra")
        top += _LINE
    for line in lines:
        draw.text((0, top), _fitting(one_line(line), font, width), _INK, font)
        top += _LINE
    return paper


def _fitting(line: str, font: Any, width: int) -> str:
    """Cut a line that is too long for its panel; no letter is a pixel wide."""
    line = line[:width]
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(f"{line}...") > width:
        line = line[:-1]
    return f"{line}..."


def _side_by_side(panels: Sequence[Image.Image]) -> Image.Image:
    from PIL import Image

    width = sum(panel.width + _MARGIN for panel in panels) + _MARGIN
    height = max(panel.height for panel in panels) + 2 * _MARGIN
    paper = Image.new("RGB", (width, height), _PAPER)
    left = _MARGIN
    for panel in panels:
        paper.paste(panel, (left, _MARGIN))
        left += panel.width + _MARGIN
    return paper
