"""The section that shows where the network looks: its gates, and Grad-CAM, over a picture.

The picture is in the page once; every map lies over a use of it.
"""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from simam_deploy.core.arrays import Array
from simam_deploy.pipeline.explained import GradCam
from simam_deploy.pipeline.gathered import Gathered
from simam_deploy.pipeline.views import Views
from simam_deploy.report.page.html import figure, section, tag
from simam_deploy.source.samples.heatmap import Heatmap

if TYPE_CHECKING:
    from PIL import Image

_PICTURE, _MAP = 480, 112
"""Pixels of the longer side; a map is smooth."""
_COLOURS = "inferno"
_OPACITY = 0.6
_STEPS = 16


def looks(of: Gathered) -> Markup | None:
    """Show a picture and where the network looks in it; None without one."""
    views = of.views
    if views is None:
        return None
    cams = {cam.layer: cam for cam in views.grad_cams}
    matched = [cams.pop(each.layer, None) for each in views.attention]
    shown = [_pair(each, cam, views) for each, cam in zip(views.attention, matched, strict=True)]
    rest = [_pair(cam, None, views) for cam in cams.values()]
    paired = "maps paired" if any(matched) else "maps"
    return section(
        "looks",
        "Where it looks",
        tag("p", _intro(views)),
        tag("p", f"No Grad-CAM: {views.reason}", class_="soft") if views.reason else None,
        _scale(),
        _shared(views),
        tag("div", shown, class_=paired),
        [tag("h3", "Grad-CAM of the source"), tag("div", rest, class_="maps")] if rest else None,
    )


def _intro(views: Views) -> str:
    said = (
        f"{views.picture}. Over it the gates of each SimAM site of this file, averaged over the "
        "channels: what is bright stands out of its plane, and is kept. Where nothing lies over "
        "the picture, it was cropped for the network. "
    )
    if not views.grad_cams:
        return said
    target = views.grad_cams[0].target
    name = f"{target.name} (class {target.index})" if target.name else f"class {target.index}"
    where = ", the box drawn," if target.box else ""
    return said + (
        f"Beside each, Grad-CAM of the same layer in PyTorch: where the score of {name}{where} "
        f"comes from, {target.scalar} = {target.score:.4g}."
    )


def _shared(views: Views) -> Markup:
    """Put the picture into the page, for every map to use."""
    width, height = _sides(views.pixels, _PICTURE)
    data = _encoded(_image(views.pixels).resize((width, height)), "JPEG", quality=82)
    image = tag("image", id="picture", width=width, height=height, href=data)
    return tag(
        "svg", tag("defs", image), width=0, height=0, aria_hidden="true", style="position: absolute"
    )


def _pair(map_: Heatmap, cam: GradCam | None, views: Views) -> Markup:
    drawings = [_over(map_, views), *([_over(cam, views)] if cam is not None else [])]
    said = f"{_range(map_)}"
    if cam is not None:
        said = f"Gates {said}; Grad-CAM to {cam.cells.max():.3g}"
    return figure([tag("h3", map_.layer), tag("div", drawings, class_="side")], said, "small")


def _range(map_: Heatmap) -> str:
    return f"{map_.cells.min():.4f} to {map_.cells.max():.4f}, {_size(map_)}"


def _size(map_: Heatmap) -> str:
    return "\N{MULTIPLICATION SIGN}".join(map(str, map_.cells.shape))


def _over(map_: Heatmap, views: Views) -> Markup:
    """Lay a map over the picture; where that was cropped, nothing lies over it."""
    width, height = _sides(views.pixels, _PICTURE)
    columns, rows = _sides(views.pixels, _MAP)
    kind = "Grad-CAM" if isinstance(map_, GradCam) else "Gates"
    return tag(
        "svg",
        tag("use", href="#picture"),
        tag(
            "image", href=_heat(map_.over_picture((rows, columns))), width=width, height=height,
            preserveAspectRatio="none", opacity=_OPACITY,
        ),
        _box(map_, views) if isinstance(map_, GradCam) else None,
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=f"{kind} of {map_.layer} over {views.picture}",
    )  # fmt: skip


def _box(cam: GradCam, views: Views) -> Markup | None:
    """Draw the box whose score is explained."""
    if cam.target.box is None:
        return None
    factor = _sides(views.pixels, _PICTURE)[0] / views.pixels.shape[1]
    left, top, right, bottom = (factor * side for side in cam.target.box)
    return tag(
        "rect", x=f"{left:.1f}", y=f"{top:.1f}", width=f"{right - left:.1f}",
        height=f"{bottom - top:.1f}", fill="none", stroke="#fff", stroke_width=3,
    )  # fmt: skip


def _heat(values: npt.NDArray[np.float32]) -> str:
    """Colour a map from its lowest to its highest value; what is NaN is left clear."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    scaled = (values - low) / (high - low or 1.0)
    indices = np.where(np.isnan(scaled), 0, 1 + np.round(scaled * 254)).astype(np.uint8)
    image = _image(indices)
    image.putpalette(bytes(3) + _palette(255).tobytes())  # grey levels become places in it
    return _encoded(image, "PNG", transparency=0, optimize=True)


def _palette(count: int) -> npt.NDArray[np.uint8]:
    """Give colours (count, 3), dark to bright; of equal steps for the eye, also in grey."""
    from matplotlib import colormaps

    colours = colormaps[_COLOURS](np.linspace(0, 1, count))[:, :3]
    palette: npt.NDArray[np.uint8] = np.round(255 * colours).astype(np.uint8)
    return palette


def _scale() -> Markup:
    """Draw the colours from a map's lowest value to its highest."""
    steps = (
        tag("rect", x=step, y=0, width=1.05, height=1, fill=f"rgb({r},{g},{b})")
        for step, (r, g, b) in enumerate(_palette(_STEPS).tolist())
    )
    bar = tag(
        "svg", steps, viewBox=f"0 0 {_STEPS} 1", preserveAspectRatio="none", aria_hidden="true"
    )
    return tag("div", "each map's lowest", bar, "and highest", class_="scale")


def _sides(pixels: Array, longest: int) -> tuple[int, int]:
    """Give width and height of a picture at most so large."""
    height, width = pixels.shape[:2]
    factor = min(1.0, longest / max(height, width))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _image(pixels: Array) -> Image.Image:
    from PIL import Image

    return Image.fromarray(pixels)


def _encoded(image: Image.Image, kind: str, **options: Any) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    text = base64.b64encode(file.getvalue()).decode()
    return f"data:image/{kind.lower()};base64,{text}"
