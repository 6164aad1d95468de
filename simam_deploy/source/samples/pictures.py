"""Decode a picture with Pillow: strictly, and from the formats that people keep photographs in.

A camera that was held upright may store its picture on its side and say so in EXIF. Whatever shows
it turns it, as do OpenCV and with it the detectors' loaders; their boxes lie in the upright one.
"""

from __future__ import annotations

import contextlib
import importlib.util
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

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

_ORIENTATION, _AS_IT_LIES = 0x0112, 1
"""EXIF's tag, and its value for a picture that is stored upright."""
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""What makes a picture of that orientation upright, by Pillow's name."""

_TURNED_BY_DECODER = "TIFF"
"""Pillow's decoder of this format makes pictures upright itself."""


class Decoded(NamedTuple):
    """A picture as it is looked at, and whether EXIF had it turned or mirrored for that."""

    picture: Image.Image
    turned: bool


def require_pillow() -> None:
    """Check, before any work, that Pillow is there.

    Raises:
        InputError: It is not; the message says which package to install.
    """
    if importlib.util.find_spec("PIL") is None:
        raise InputError(
            "pictures need Pillow, which is missing: pip install 'simam-deploy[images]'"
        )


def decode(file: Path | IO[bytes], name: str) -> Decoded:
    """Decode a picture whole, and make it upright.

    Raises:
        InputError: It is damaged, of another format, not of 8 bits a channel, or of more pixels
            than Pillow thinks safe (89 million).
    """
    with _opened(file, name) as picture:
        by_decoder = picture.format == _TURNED_BY_DECODER and _orientation(picture) in _TURNS
        picture.load()
    if picture.mode not in _MODES:
        raise InputError(f"{name} has mode {picture.mode}: wanted 8 bits a channel")
    turned = by_decoder or _orientation(picture) in _TURNS
    return Decoded(_upright(picture), turned)


def size_of(file: Path, name: str) -> tuple[int, int]:
    """Read height and width of an upright picture from its header.

    Raises:
        InputError: As `decode`.
    """
    with _opened(file, name) as picture:
        if picture.format == _TURNED_BY_DECODER:
            picture.load()
        size = picture.height, picture.width
        return size[::-1] if _orientation(picture) in (5, 6, 7, 8) else size


def stored_size(file: IO[bytes], name: str) -> tuple[int, int]:
    """Read height and width of a picture as it is stored; EXIF may lie behind a PNG's pixels.

    Raises:
        InputError: As `decode`.
    """
    with _opened(file, name) as picture:
        return picture.height, picture.width


def turned_notes(count: int, of: int) -> tuple[str, ...]:
    """Say how many pictures were turned, if any were."""
    note = f"{count} of {of} pictures were turned upright, as their EXIF orientation says"
    return (note,) if count else ()


def _orientation(picture: Image.Image) -> int:
    """Read how a picture is stored; one whose EXIF is damaged is taken as it lies."""
    with contextlib.suppress(Exception):  # they raise all kinds
        said = picture.getexif().get(_ORIENTATION)
        return said if isinstance(said, int) else _AS_IT_LIES
    return _AS_IT_LIES


def _upright(picture: Image.Image) -> Image.Image:
    """Turn a picture that its decoder left as it is stored."""
    from PIL import Image

    turn = _TURNS.get(_orientation(picture))
    return picture if turn is None else picture.transpose(Image.Transpose[turn])


class _Strictly:
    """Has Pillow's warning of too many pixels raised, and others left out.

    Filters are the process's, and who leaves `catch_warnings` puts back what he found: threads that
    overlap share one, from the first that comes to the last that goes.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._inside = 0
        self._caught = contextlib.ExitStack()

    def __enter__(self) -> None:
        from PIL import Image

        with self._turn:
            self._inside += 1
            if self._inside == 1:
                self._caught.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore", UserWarning)  # damaged EXIF
                warnings.simplefilter("error", Image.DecompressionBombWarning)

    def __exit__(self, *raised: object) -> None:
        with self._turn:
            self._inside -= 1
            if not self._inside:
                self._caught.close()


_STRICTLY = _Strictly()


@contextlib.contextmanager
def _opened(file: Path | IO[bytes], name: str) -> Iterator[Image.Image]:
    """Turn what a damaged picture makes its decoders raise into one line."""
    from PIL import Image, UnidentifiedImageError

    try:
        with _STRICTLY, Image.open(file, formats=sorted(set(FORMATS.values()))) as picture:
            yield picture
    except UnidentifiedImageError as error:  # its own words hold an object's address
        raise InputError(
            f"{name} cannot be decoded: it is damaged, or none of {', '.join(FORMATS)}"
        ) from error
    except Exception as error:  # they raise all kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{name} cannot be decoded: {reason}") from error


def from_array(pixels: Array) -> Image.Image:
    """Make a picture of uint8 pixels (H, W) or (H, W, 3)."""
    from PIL import Image

    return Image.fromarray(pixels)
