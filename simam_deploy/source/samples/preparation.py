"""From a picture to an input: the manifest's `preprocessing` facts, carried out.

A picture is scaled, then cropped or filled up (`placement`), and normalised. What is to be covered
or stretched is scaled with the area averaged, as Pillow does and torchvision with it, in 8 bits;
what is letterboxed from the four nearest pixels, as the detectors' loaders do by OpenCV.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simam_deploy.core.facts import LARGEST_SIDE
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.source.samples.placement import (
    Covering,
    Fitting,
    Letterboxed,
    Padded,
    Placement,
    Sides,
    Stretched,
)
from simam_deploy.source.samples.sampling import sampled

if TYPE_CHECKING:
    from PIL import Image

MOST_PIXELS = 1 << 27
"""Of a picture once it is scaled; Pillow opens 89 million."""
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Preparation:
    """How a picture becomes an input (C, H, W).

    Attributes:
        mode: Pillow's: "RGB", or "L" for a network of one channel.
        reverse: Whether the network wants BGR.
        fitting: How it comes to lie there.
        scale: What a pixel value, 0 to 255, is multiplied by.
        mean: By channel, subtracted after scaling.
        std: By channel, divided by.
        fill: The pixel value around a letterboxed picture; None for zeros after normalising.
    """

    mode: str
    reverse: bool
    fitting: Fitting
    scale: float
    mean: Floats
    std: Floats
    fill: float | None = None

    def __call__(self, picture: Image.Image) -> Floats:
        """Prepare one picture of any size and mode."""
        if picture.mode != self.mode:
            picture = picture.convert(self.mode)
        sides = picture.height, picture.width
        where, made = self.placement(sides), self.fitting.made(sides)
        _check_scaled(where)
        if isinstance(self.fitting, (Letterboxed, Padded)):
            return self._filled(self._normalised(sampled(picture, where.scaled)), where, made)
        return self._normalised(np.asarray(_scaled(picture, where, made)))

    def memory_of(self, picture: Sides) -> int:
        """Tell how many bytes a picture of this height and width takes at most, decoded and scaled.

        Pillow has 4 for a pixel, and a second picture where one is turned or converted. What is
        letterboxed is an array of 3 as well, of which NumPy gathers the pieces.
        """
        pixels, scaled = math.prod(picture), math.prod(self.placement(picture).scaled)
        arrays = isinstance(self.fitting, (Letterboxed, Padded))
        return 14 * pixels + 24 * scaled if arrays else 8 * pixels + 4 * scaled

    def placement(self, picture: Sides) -> Placement:
        """Say where a picture of this height and width comes to lie in the input."""
        return self.fitting.placement(picture)

    def extent(self, picture: Sides) -> Sides:
        """Give height and width of what of an input is the picture, and not filled up."""
        if isinstance(self.fitting, (Letterboxed, Padded)):
            return self.placement(picture).scaled
        return self.fitting.made(picture)

    def of_light(self, light: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Normalise what is a picture already, (C, H, W) from 0 (black) to 1."""
        ones = (-1, 1, 1)
        normal: npt.NDArray[Any] = light * 255 * self.scale - self.mean.reshape(ones)
        return normal / self.std.reshape(ones)

    def _normalised(self, pixels: npt.NDArray[Any]) -> Floats:
        channels = pixels.reshape(*pixels.shape[:2], -1).astype(np.float32)
        if self.reverse:
            channels = channels[..., ::-1]
        normal = (channels * np.float32(self.scale) - self.mean) / self.std
        return np.ascontiguousarray(normal.transpose(2, 0, 1))

    def _filled(self, array: Floats, where: Placement, made: Sides) -> Floats:
        """Put a normalised picture into an input, and fill that up around it."""
        full = np.zeros((len(array), *made), np.float32)
        if self.fill is not None:
            full += self._normalised(np.full((1, 1, len(array)), self.fill))
        (top, left), (height, width) = where.offset, where.scaled
        full[:, top : top + height, left : left + width] = array
        return full


def _check_scaled(where: Placement) -> None:
    """Refuse a strip whose short side is scaled up to the input's: 10 x 8 million took 160 GB.

    Raises:
        InputError: It is one.
    """
    if math.prod(where.scaled) > MOST_PIXELS:
        before, after = (f"{height} x {width}" for height, width in (where.picture, where.scaled))
        raise InputError(f"a picture of {before} would be scaled to {after}: it is too narrow")


def _scaled(picture: Image.Image, where: Placement, size: Sides) -> Image.Image:
    """Scale a picture, and cut out what of it lies within height and width."""
    from PIL import Image

    height, width = where.scaled
    if (width, height) != picture.size:
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    top, left = (-offset for offset in where.offset)
    box = (left, top, min(left + size[1], width), min(top + size[0], height))
    return picture if box == (0, 0, width, height) else picture.crop(box)


def stretching(spec: TensorSpec) -> Preparation | None:
    """Scale pictures to the input's height and width, and pixels to 0..1: where no facts are.

    Returns:
        None where the input is no picture of a known size.
    """
    if len(spec.shape) != 4 or spec.shape[1] not in CHANNELS:
        return None
    channels, height, width = spec.shape[1:]
    if not (isinstance(channels, int) and isinstance(height, int) and isinstance(width, int)):
        return None
    mean, std = np.zeros(channels, np.float32), np.ones(channels, np.float32)
    return Preparation(_mode(channels), False, Stretched((height, width)), 1 / 255, mean, std)


def _mode(channels: int) -> str:
    return "L" if channels == 1 else "RGB"


def read_preparation(facts: Mapping[str, Any] | None, spec: TensorSpec) -> Preparation | None:
    """Read a manifest's facts; None where they do not say how a picture becomes an input.

    Args:
        facts: `preprocessing` of a manifest; None where it has none.
        spec: The input; its fixed height and width win over the facts'.

    Raises:
        InputError: The facts are damaged or contradict the input.
    """
    if facts is None or facts.get("kind") != "image" or len(spec.shape) != 4:
        return None
    try:
        return _read(facts, spec)
    except KeyError as error:
        raise InputError(f"the preprocessing cannot be used: it states no {error}") from error
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"the preprocessing cannot be used: {error}") from error


CHANNELS = (1, 3)
"""Of a picture: grey, or red, green and blue."""


def _read(facts: Mapping[str, Any], spec: TensorSpec) -> Preparation:
    channels = len(facts["mean"])
    if channels not in CHANNELS:
        raise ValueError(f"{channels} means, and a picture has 1 or 3 channels: give arrays")
    if spec.shape[1] not in (channels, "?"):
        raise ValueError(f"{channels} means for an input of {spec.shape[1]} channels")
    std = np.array(facts["std"], np.float32)
    if std.shape != (channels,) or not (std > 0).all():
        raise ValueError(f"std {facts['std']}")
    return Preparation(
        mode=_mode(channels),
        reverse=facts.get("color") == "BGR",
        fitting=_fitting(facts, spec.shape[2:]),
        scale=float(facts["scale"]),
        mean=np.array(facts["mean"], np.float32),
        std=std,
        fill=facts.get("pad_value"),
    )


def _fitting(facts: Mapping[str, Any], shape: tuple[int | str, ...]) -> Fitting:
    """Read how a picture comes to lie in an input of this height and width."""
    usual = made_size(facts)
    if facts.get("size_input") and facts.get("pad") == "centre":
        raise ValueError("a letterbox in the centre, of which the network is told the size alone")
    if sizes_vary(facts, shape):
        return Padded(_sides(facts["resize"]), facts["pad_divisor"])
    given = [side for side in shape if isinstance(side, int)]
    if usual is None and len(given) < 2:
        raise ValueError("neither it nor the input says a size")
    height, width = given if len(given) == 2 else usual or (0, 0)
    size = height, width
    if facts.get("keep_ratio"):
        box = _sides(facts["resize"]) if usual == size else size
        return Letterboxed(size, box, facts.get("pad") == "centre")
    if facts.get("stretch"):
        return Stretched(size)
    return Covering(size, _enlarged(facts))


def sizes_vary(facts: Mapping[str, Any] | None, sides: Sequence[int | str]) -> bool:
    """Tell whether each picture becomes an input of its own size.

    Args:
        facts: `preprocessing` of a manifest; None where it has none.
        sides: Height and width of the input; a free one is a text.
    """
    free = all(isinstance(side, str) for side in sides)
    return free and _pads_each(facts or {})


def _pads_each(facts: Mapping[str, Any]) -> bool:
    """Tell whether pictures are padded to multiples of a number, at the right and below."""
    padded = facts.get("keep_ratio") and "pad_divisor" in facts and facts.get("pad") != "centre"
    return bool(padded) and made_size(facts) is not None


def filled_notes(facts: Mapping[str, Any] | None, spec: TensorSpec) -> tuple[str, ...]:
    """Say that an input of fixed size is filled up further than in training, if it is.

    Of an image of 320 x 320, padded to 448 x 448, 98 of 100 detections of random weights moved.
    """
    sides, said = spec.shape[2:], facts or {}
    if len(spec.shape) != 4 or not _pads_each(said) or not all(isinstance(n, int) for n in sides):
        return ()
    return (
        f"each picture is filled up to {sides[0]} x {sides[1]}, and not to its own multiple of "
        f"{said['pad_divisor']} as in training: SimAM takes its mean over that too, and gives "
        "other outputs; leave height and width free",
    )


def _enlarged(facts: Mapping[str, Any]) -> float:
    """Give how much larger a picture is scaled than what is cut out of it."""
    resize = facts.get("resize", facts.get("crop", 1))
    if not isinstance(resize, int):
        raise ValueError("resize has two sides, and nothing says whether the ratio is kept")
    enlarged = float(resize / facts.get("crop", resize))
    if enlarged < 1:
        raise ValueError(f"a picture of {facts['resize']} has no {facts['crop']} to crop")
    return enlarged


def made_size(facts: Mapping[str, Any]) -> Sides | None:
    """Give height and width of what `preprocessing` facts make of any picture, if they say so."""
    whole = facts.get("keep_ratio") or facts.get("stretch")
    side = facts.get("resize") if whole else facts.get("crop", facts.get("resize"))
    if side is None or not (whole or isinstance(side, int)):
        return None
    step = facts.get("pad_divisor", 1) if facts.get("keep_ratio") else 1
    height, width = (math.ceil(n / step) * step for n in _sides(side))
    return (height, width) if max(height, width) <= LARGEST_SIDE else None


def _sides(resize: int | list[int]) -> Sides:
    """Turn a side, or width and height, into height and width."""
    width, height = (resize, resize) if isinstance(resize, int) else resize
    return height, width
