"""Plots by Matplotlib, as SVG that takes its colours from the page's style.

Colours are drawn as numbers that stand for names (`INK`, `FP32`, ...) and written as the style's
variables, so that one drawing does for light, dark and paper. Text stays text, in the page's own
font; ids begin with the plot's name, for a page holds many.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

from simam_deploy.errors import InputError
from simam_deploy.report.terminal import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VARIABLES = ("ink", "soft", "line", "fp32", "fp16", "bf16", "int8", "fp8", "accent", "bad")
"""Of the style (`style.css`)."""
COLOURS = {name: f"#0000{number:02x}" for number, name in enumerate(VARIABLES, 1)}
_NAMES = {colour: f"var(--{name})" for name, colour in COLOURS.items()}
_FONT = re.compile(r"font:[^;]*?([\d.]+px)[^;]*")
_FAMILY = re.compile(r"font-family:[^;]*;?")
_REFERENCE = re.compile(r"#(?=[A-Za-z])")
_POINTS = 72.0
_BACKEND = "MPLBACKEND"


def require_matplotlib() -> None:
    """Check, before any work, that Matplotlib is there.

    Raises:
        InputError: It is not; the message says what to install.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError(
            "a report's plots need Matplotlib, which is missing: pip install 'simam-deploy[report]'"
        )


def plot(name: str, label: str, size: tuple[float, float], draw: Callable[[Axes], None]) -> Markup:
    """Draw a plot.

    Args:
        name: Unique in its page: letters, digits and dashes.
        label: Says what is seen to who cannot see it.
        size: Width and height in pixels.
        draw: Draws on the axes that it is given.
    """
    mpl = _matplotlib()
    from matplotlib.figure import Figure

    width, height = (side / _POINTS for side in size)
    file = io.StringIO()
    with mpl.rc_context(_style()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # that its own font lacks; browsers have more
        figure = Figure((width, height), layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return _inline(file.getvalue(), name, label)


def _matplotlib() -> Any:
    """Import Matplotlib whatever MPLBACKEND says, which a notebook sets for those it runs.

    It names a module of the notebook's own Python, and its import here fails where that is
    another; a figure that is written as SVG has no use for it.
    """
    named = os.environ.pop(_BACKEND, None)
    try:
        import matplotlib as mpl
    finally:
        if named is not None:
            os.environ[_BACKEND] = named
    return mpl


def _style() -> dict[Any, Any]:
    ink, soft, line = (COLOURS[name] for name in ("ink", "soft", "line"))
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "simam",
        "text.parse_math": False,  # a $ in a file's name is a $
        "font.size": 10,
        "text.color": ink,
        "axes.edgecolor": line,
        "axes.labelcolor": soft,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": line,
        "grid.linewidth": 0.6,
        "xtick.color": line,
        "xtick.labelcolor": soft,
        "ytick.color": line,
        "ytick.labelcolor": soft,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
    }


def _inline(svg: str, name: str, label: str) -> Markup:
    """Make a file of Matplotlib's a part of a page."""
    root = ElementTree.fromstring(svg)  # noqa: S314 - Matplotlib wrote it just now
    for element in root.iter():
        _adapt(element, name)
    for element in [e for e in root if e.tag == "metadata" or e.find("style") is not None]:
        root.remove(element)  # the style would be the whole page's
    root.attrib = {
        **{"viewBox": root.attrib["viewBox"], "class": "plot", "role": "img"},
        "aria-label": one_line(label),
    }
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 - escaped by it


def _adapt(element: ElementTree.Element, name: str) -> None:
    """Take off namespaces, which HTML does without, and put in our ids and colours."""
    element.tag = element.tag.rpartition("}")[2]
    for key, value in list(element.attrib.items()):
        del element.attrib[key]
        key = key.rpartition("}")[2]
        if key == "id":
            value = f"{name}-{value}"
        elif key in ("style", "fill", "stroke"):
            value = _in_style(value)
        if key == "href" or "url(#" in value:
            value = _REFERENCE.sub(f"#{name}-", value)
        element.attrib[key] = value


def _in_style(value: str) -> str:
    for colour, variable in _NAMES.items():
        value = value.replace(colour, variable)
    return _FAMILY.sub("", _FONT.sub(r"font-size: \1", value))
