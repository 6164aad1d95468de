"""A detector's file on pictures: boxes and masks come out in the picture's own pixels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simam_deploy.core.arrays import Array
from simam_deploy.core.files import PLANS
from simam_deploy.core.labels import label_of, names_beside
from simam_deploy.core.manifest import manifest_path, read_facts
from simam_deploy.detect.decoding import SURE, Floats, Found, find_decoder, may_detect
from simam_deploy.detect.masks import THRESHOLD, Bits, paste
from simam_deploy.errors import InputError
from simam_deploy.runtime.protocol import Closing, Runner
from simam_deploy.source.samples.picture_inputs import PictureInputs, find_picture_inputs
from simam_deploy.source.samples.pictures import Decoded, decode, from_array, require_pillow
from simam_deploy.source.samples.placement import Sides

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Detections:
    """What was detected in a picture, the surest first.

    Attributes:
        boxes: float64 (n, 4), x1 y1 x2 y2 in pixels of the picture.
        scores: float64 (n,), from 0 to 1.
        labels: int64 (n,), the classes' numbers, counted from 0.
        names: The classes' names; the number of one that has none.
        cells: (n, m, m), probabilities over each box; None where the network gives no masks.
        height: Of the picture.
        width: Of the picture.
        turned: Whether the picture was turned upright first, as its EXIF says.
    """

    boxes: Floats
    scores: Floats
    labels: npt.NDArray[np.int64]
    names: tuple[str, ...]
    cells: Array | None
    height: int
    width: int
    turned: bool

    def __len__(self) -> int:
        """Count them."""
        return len(self.scores)

    def masks(self, threshold: float = THRESHOLD) -> Bits:
        """Paste the masks into the picture.

        Args:
            threshold: The least probability of a pixel that is set.

        Returns:
            bool (n, height, width), one byte a pixel: 100 of 12 million pixels take 1.2 GB, and
            `simam_deploy.detect.masks.cut_out` makes them one by one.

        Raises:
            InputError: The network gives none.
        """
        if self.cells is None:
            raise InputError("this detector gives boxes without masks")
        return paste(self.cells, self.boxes, self.height, self.width, threshold)


class ObjectDetector(Closing):
    """A detector's file, opened: pictures in, what is on them out.

    The manifest beside the file says how a picture becomes its input; `find_decoder` says which
    outputs are understood. It may be used by several threads, and is a context manager.

    Args:
        file: An .onnx, which runs on the GPU where ONNX Runtime has one, or a TensorRT plan.

    Raises:
        InputError: The file cannot be used, is not its manifest's, gives no boxes, or nothing says
            how pictures become its input. EngineError, where a plan cannot run here.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        path = Path(file)
        self._name = path.name
        self._facts = read_facts(path) if path.suffix not in PLANS else {}
        self._runner = _opened(path)
        try:
            self._facts = getattr(self._runner, "facts", self._facts)  # checked with a plan
            self._inputs = self._picture_inputs(path)
            self._names = names_beside(path, self._facts, self._runner.outputs)
        except InputError:
            self.close()
            raise

    def _picture_inputs(self, path: Path) -> PictureInputs:
        """Say how a picture becomes the network's inputs.

        Raises:
            InputError: It gives no boxes, or nothing says so.
        """
        if not may_detect(self._runner.outputs):
            shapes = "; ".join(map(str, self._runner.outputs))
            raise InputError(f"{path.name} gives no boxes: {shapes:.200}")
        found = find_picture_inputs(self._runner.inputs, self._facts.get("preprocessing"))
        if found is None:
            raise InputError(
                f"nothing says how a picture becomes the input of {path.name}: "
                f"{manifest_path(path).name} beside it has no such preprocessing; export it "
                "again, with a recipe where its source says none"
            )
        return found

    def __call__(
        self,
        picture: str | os.PathLike[str] | Image.Image | Array,
        least: float = SURE,
    ) -> Detections:
        """Detect in a picture.

        Args:
            picture: A file; or a picture as it is looked at, of Pillow's or RGB pixels, uint8
                (H, W, 3).
            least: The score to be above.

        Raises:
            InputError: The picture cannot be used, or the outputs are of no known convention.
        """
        taken = self._inputs.prepared(_decoded(picture))
        outputs = self._runner.run(self._inputs.feeds(taken))
        decoder, _ = find_decoder(outputs, self._name)
        found = next(iter(decoder(outputs, least))).placed(taken.placement)
        return self._named(found, taken.placement.picture, taken.turned)

    def _named(self, found: Found, sides: Sides, turned: bool) -> Detections:
        names = tuple(label_of(label, self._names) for label in found.labels.tolist())
        kept = found.boxes, found.scores, found.labels, names, found.masks
        return Detections(*kept, *sides, turned)

    def close(self) -> None:
        """Free the network."""
        self._runner.close()


def _opened(path: Path) -> Runner:
    if path.suffix in PLANS:
        from simam_deploy.engine.run.runner import TensorRTRunner

        return TensorRTRunner(path)
    from simam_deploy.runtime.onnx_runner import OnnxRunner, providers_of

    return OnnxRunner(path, providers_of("auto"))


def _decoded(picture: str | os.PathLike[str] | Image.Image | Array) -> Decoded:
    """Give a picture as it is looked at.

    Raises:
        InputError: It is none.
    """
    require_pillow()
    if isinstance(picture, (str, os.PathLike)):
        return decode(Path(picture), Path(picture).name)
    if not isinstance(picture, np.ndarray):
        return Decoded(picture, turned=False)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise InputError(
            f"pixels {picture.dtype} {picture.shape}: wanted RGB in uint8 (height, width, 3)"
        )
    return Decoded(from_array(picture), turned=False)
