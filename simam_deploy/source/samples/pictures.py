"""Decode a picture with Pillow: strictly, and from the formats that people keep photographs in."""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from simam_deploy.core.arrays import Array
from simam_deploy.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = {
    ".bmp": "BMP",
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".pgm": "PPM",
    ".png": "PNG",
    ".ppm": "PPM",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
"""By suffix. Pillow knows more; some start other programs (EPS runs Ghostscript)."""

_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Those of 8 bits a channel; a conversion of 16 bits clips nearly everything to white."""


def require_pillow() -> None:
    """Check, before any work, that Pillow is there.

    Raises:
        InputError: It is not; the message says which package to install.
    """
    if importlib.util.find_spec("PIL") is None:
        raise InputError(
            "pictures need Pillow, which is missing: pip install 'simam-deploy[images]'"
        )


def decode(file: Path | IO[bytes], name: str) -> Image.Image:
    """Decode a picture whole.

    Raises:
        InputError: It is damaged, of another format, not of 8 bits a channel, or of more pixels
            than Pillow thinks safe (89 million).
    """
    with _opened(file, name) as picture:
        picture.load()
    if picture.mode not in _MODES:
        raise InputError(f"{name} has mode {picture.mode}: wanted 8 bits a channel")
    return picture


def size_of(file: Path, name: str) -> tuple[int, int]:
    """Read height and width of a picture from its header.

    Raises:
        InputError: As `decode`.
    """
    with _opened(file, name) as picture:
        return picture.height, picture.width


@contextlib.contextmanager
def _opened(file: Path | IO[bytes], name: str) -> Iterator[Image.Image]:
    """Turn what a damaged picture makes its decoders raise into one line."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=sorted(set(FORMATS.values()))) as picture:
                yield picture
    except Exception as error:  # they raise all kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{name} cannot be decoded: {reason}") from error


def from_array(pixels: Array) -> Image.Image:
    """Make a picture of uint8 pixels (H, W) or (H, W, 3)."""
    from PIL import Image

    return Image.fromarray(pixels)
