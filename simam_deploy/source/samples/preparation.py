"""From a picture to an input: the manifest's `preprocessing` facts, carried out.

Pictures are scaled bilinearly with the area averaged, as Pillow does and torchvision with it, in
8 bits; then cropped at the centre, or padded below and at the right, and normalised. Where a point
of the picture comes to lie is a `Placement`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.source.samples.placement import Placement

if TYPE_CHECKING:
    from PIL import Image

Prepare = Callable[["Image.Image"], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Preparation:
    """How a picture becomes an input (C, H, W).

    Attributes:
        mode: Pillow's: "RGB", or "L" for a network of one channel.
        reverse: Whether the network wants BGR.
        size: Height and width of the input.
        enlarged: The picture is scaled to cover this many times `size`, then cropped.
        pad: Scale it to fit into `size` instead, and fill up with zeros after normalising.
        scale: What a pixel value, 0 to 255, is multiplied by.
        mean: By channel, subtracted after scaling.
        std: By channel, divided by.
        stretch: Scale it to `size`, whatever its ratio was, instead.
    """

    mode: str
    reverse: bool
    size: tuple[int, int]
    enlarged: float
    pad: bool
    scale: float
    mean: npt.NDArray[np.float32]
    std: npt.NDArray[np.float32]
    stretch: bool = False

    def __call__(self, picture: Image.Image) -> npt.NDArray[np.float32]:
        """Prepare one picture of any size and mode."""
        picture = picture.convert(self.mode)
        where = self.placement((picture.height, picture.width))
        array = self._normalised(_scaled(picture, where, self.size))
        return self._padded(array) if self.pad else array

    def placement(self, picture: tuple[int, int]) -> Placement:
        """Say where a picture of this height and width comes to lie in the input."""
        if self.stretch:
            return Placement(picture, self.size, (0, 0))
        if self.pad:
            return Placement(picture, _fitted(picture, self.size), (0, 0))
        scaled = _covering(picture, self.size, self.enlarged)
        top, left = (round((n - w) / 2) for n, w in zip(scaled, self.size, strict=True))
        return Placement(picture, scaled, (-top, -left))

    def of_light(self, light: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Normalise what is a picture already, (C, H, W) from 0 (black) to 1."""
        ones = (-1, 1, 1)
        normal: npt.NDArray[Any] = light * 255 * self.scale - self.mean.reshape(ones)
        return normal / self.std.reshape(ones)

    def _normalised(self, picture: Image.Image) -> npt.NDArray[np.float32]:
        pixels = np.asarray(picture, np.float32).reshape(picture.height, picture.width, -1)
        channels = pixels[..., ::-1] if self.reverse else pixels
        normal = (channels * np.float32(self.scale) - self.mean) / self.std
        return np.ascontiguousarray(normal.transpose(2, 0, 1))

    def _padded(self, array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        below, right = (w - n for w, n in zip(self.size, array.shape[1:], strict=True))
        return np.pad(array, ((0, 0), (0, below), (0, right)))


def _scaled(picture: Image.Image, where: Placement, size: tuple[int, int]) -> Image.Image:
    """Scale a picture, and cut out what of it lies within height and width."""
    from PIL import Image

    height, width = where.scaled
    if (width, height) != picture.size:
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    top, left = (-offset for offset in where.offset)
    box = (left, top, min(left + size[1], width), min(top + size[0], height))
    return picture if box == (0, 0, width, height) else picture.crop(box)


def _fitted(picture: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Give the largest size of a picture's ratio that lies within height and width."""
    factor = min(size[0] / picture[0], size[1] / picture[1])
    sides = (max(1, int(n * factor + 0.5)) for n in picture)
    height, width = (min(n, most) for n, most in zip(sides, size, strict=True))
    return height, width


def _covering(picture: tuple[int, int], size: tuple[int, int], enlarged: float) -> tuple[int, int]:
    """Give the size of a picture's ratio that covers `enlarged` times height and width."""
    factor = enlarged * max(size[0] / picture[0], size[1] / picture[1])
    return int(picture[0] * factor + 1e-6), int(picture[1] * factor + 1e-6)


def stretching(spec: TensorSpec) -> Preparation | None:
    """Scale pictures to the input's height and width, and pixels to 0..1: where no facts are.

    Returns:
        None where the input is no picture of a known size.
    """
    if len(spec.shape) != 4 or spec.shape[1] not in _CHANNELS:
        return None
    channels, height, width = spec.shape[1:]
    if not (isinstance(channels, int) and isinstance(height, int) and isinstance(width, int)):
        return None
    mean, std = np.zeros(channels, np.float32), np.ones(channels, np.float32)
    mode, size = "L" if channels == 1 else "RGB", (height, width)
    return Preparation(mode, False, size, 1.0, False, 1 / 255, mean, std, stretch=True)


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
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"the manifest's preprocessing cannot be used: {error!r}") from error


_CHANNELS = (1, 3)
"""Of a picture: grey, or red, green and blue."""


def _read(facts: Mapping[str, Any], spec: TensorSpec) -> Preparation:
    channels = len(facts["mean"])
    if channels not in _CHANNELS:
        raise ValueError(f"{channels} means, and a picture has 1 or 3 channels: give arrays")
    if spec.shape[1] not in (channels, "?"):
        raise ValueError(f"{channels} means for an input of {spec.shape[1]} channels")
    pad = bool(facts.get("keep_ratio", False))
    default = _padded_size(facts) if pad else _square(facts.get("crop", facts["resize"]))
    height, width = (
        given if isinstance(given, int) else usual
        for given, usual in zip(spec.shape[2:], default, strict=True)
    )
    enlarged = 1.0 if pad else facts["resize"] / facts.get("crop", facts["resize"])
    if enlarged < 1:
        raise ValueError(f"a picture of {facts['resize']} has no {facts['crop']} to crop")
    std = np.array(facts["std"], np.float32)
    if std.shape != (channels,) or not (std > 0).all():
        raise ValueError(f"std {facts['std']}")
    return Preparation(
        mode="L" if channels == 1 else "RGB",
        reverse=facts.get("color") == "BGR",
        size=(height, width),
        enlarged=enlarged,
        pad=pad,
        scale=float(facts["scale"]),
        mean=np.array(facts["mean"], np.float32),
        std=std,
    )


def _square(side: int) -> tuple[int, int]:
    return side, side


def _padded_size(facts: Mapping[str, Any]) -> tuple[int, int]:
    """Give height and width of the padded input; the facts state width x height."""
    step = facts["pad_divisor"]
    width, height = (math.ceil(n / step) * step for n in facts["resize"])
    return height, width
