"""Where a network looks in a picture: Grad-CAM of a score, and the gates of its SimAM sites."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from simam_deploy.core.labels import read_labels
from simam_deploy.core.progress import Progress
from simam_deploy.errors import InputError, UsageError
from simam_deploy.pipeline.explained import GradCam, open_explained
from simam_deploy.pipeline.options import ExplainOptions
from simam_deploy.pipeline.target import Target
from simam_deploy.source.options import NetworkOptions
from simam_deploy.source.samples.heatmap import Heatmap
from simam_deploy.source.samples.pictures import Decoded, decode, from_array, require_pillow

_NEAR = 3
"""Names that are told where one is not known."""


def grad_cam(
    model: str | os.PathLike[str],
    picture: str | os.PathLike[str] | npt.NDArray[np.uint8],
    layer: str | None = None,
    class_: int | str | None = None,
    box: int | None = None,
    network: NetworkOptions | None = None,
) -> GradCam:
    """Compute where in a picture the score of a class, or of a detection, comes from.

    Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", ICCV 2017. Of the layer's maps A (K, h, w) and the score y, which is an element
    of the network's outputs as they are, before or behind a softmax, and named by `target.scalar`:

        alpha_k = mean over i, j of dy / dA[k, i, j];  L = ReLU(sum over k of alpha_k A[k])

    Args:
        model: What `export_onnx` takes, but for .onnx files and programs, whose layers cannot be
            differentiated.
        picture: A file, or uint8 (H, W, 3) in RGB or (H, W); prepared as the network's source or
            `network.preprocess` says.
        layer: A module by its name, whose output is (1, K, h, w); None for the last SimAM that the
            score depends on.
        class_: Of a classifier, the class by its index or name; None for the one ranked first.
        box: Of a detector, the detection, counted from 0, the surest first; None for that one.
        network: What is said of the network.

    Returns:
        The map: `cells` float32 (h, w), not negative and not scaled; `over_picture()` float32
        (H, W), laid over the picture's own pixels, NaN where it was cropped; and its `target`.

    Raises:
        InputError: A file cannot be used, the network takes no pictures, gives no score or cannot
            be differentiated, or the layer has no maps.
        UsageError: There is no such layer, class or box, or an option does not fit.
    """
    asked = ExplainOptions(layer=layer, class_=class_, box=box, methods=("gradcam",))
    found = explain(model, picture, asked, network).grad_cam
    assert found is not None
    return found


def attention_maps(
    model: str | os.PathLike[str],
    picture: str | os.PathLike[str] | npt.NDArray[np.uint8],
    network: NetworkOptions | None = None,
) -> tuple[Heatmap, ...]:
    """Compute every SimAM site's gates of a picture, averaged over the channels.

    Args:
        model: What `export_onnx` takes, .onnx files in any precision among it.
        picture: As for `grad_cam`.
        network: What is said of the network.

    Returns:
        A map a site, in the graph's order: `cells` float32 (h, w) from 0.6225 to 1, and
        `over_picture()` float32 (H, W), laid over the picture's own pixels, NaN where it was
        cropped.

    Raises:
        InputError: A file cannot be used, the network takes no pictures, or there is no SimAM in
            it.
        UsageError: An option does not fit.
    """
    opened = open_explained(Path(model), network or NetworkOptions(), ())
    return opened.attention(opened.inputs.prepared(read_picture(picture)))


@dataclass(frozen=True)
class Explanation:
    """What a picture is explained by.

    Attributes:
        network: What it is, as `resnet50`.
        pixels: uint8 (H, W, 3), the picture as it is looked at.
        turned: Whether its EXIF had it turned for that.
        grad_cam: None where it is left out.
        attention: Of one SimAM site; None where it is left out.
        detections: Every detection, the surest first; none of a classifier.
        notes: What was done to the network when it was opened.
    """

    network: str
    pixels: npt.NDArray[np.uint8]
    turned: bool
    grad_cam: GradCam | None
    attention: Heatmap | None
    detections: tuple[Target, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Turn it into a JSON-able dictionary, which holds the maps' cells."""
        return {
            "network": self.network,
            "picture": {"size": list(self.pixels.shape[:2]), "turned_upright": self.turned},
            "grad_cam": self.grad_cam
            and {"target": self.grad_cam.target.to_json(), **_map_json(self.grad_cam)},
            "attention": self.attention and _map_json(self.attention),
            "detections": [each.to_json() for each in self.detections],
            "notes": list(self.notes),
        }


def _map_json(of: Heatmap) -> dict[str, Any]:
    return {"layer": of.layer, "size": list(of.cells.shape), "cells": of.cells.tolist()}


def explain(
    model: str | os.PathLike[str],
    picture: str | os.PathLike[str] | npt.NDArray[np.uint8],
    asked: ExplainOptions | None = None,
    network: NetworkOptions | None = None,
    *,
    progress: Progress = lambda step: None,
) -> Explanation:
    """Explain a picture by one layer; arguments and errors are those of `grad_cam`.

    Args:
        model: The file.
        picture: The picture.
        asked: What is explained, and by which methods.
        network: What is said of the network.
        progress: Told each step.
    """
    asked = asked or ExplainOptions()
    decoded = read_picture(picture)
    names = () if asked.labels is None else read_labels(Path(asked.labels))
    progress("reading the network")
    opened = open_explained(Path(model), network or NetworkOptions(), names)
    shown = opened.inputs.prepared(decoded)
    cam: GradCam | None = None
    gates: Heatmap | None = None
    detections: tuple[Target, ...] = ()
    if "gradcam" in asked.methods:
        progress("computing Grad-CAM")
        explaining = opened.grad_cam(shown, asked)
        cam, detections = explaining.maps[-1], explaining.detections
    if "attention" in asked.methods:
        progress("computing SimAM's gates")
        gates = _of_layer(opened.attention(shown), asked.layer if cam is None else cam.layer)
    pixels = np.asarray(decoded.picture.convert("RGB"))
    return Explanation(opened.name, pixels, decoded.turned, cam, gates, detections, opened.notes)


def _of_layer(maps: Sequence[Heatmap], layer: str | None) -> Heatmap:
    """Choose a site: the layer's own, else the last one within it.

    Raises:
        UsageError: There is none.
    """
    if layer is None:
        return maps[-1]
    within = [each for each in maps if f"{each.layer}.".startswith(f"{layer}.")]
    if not within:
        near = ", ".join(difflib.get_close_matches(layer, [m.layer for m in maps], _NEAR, 0))
        raise UsageError(
            f"no SimAM is called {layer!r:.60}, nor stands within it: the nearest are {near}; "
            "other layers have a Grad-CAM alone",
            options=("layer", "methods"),
        )
    return within[-1]


def read_picture(picture: str | os.PathLike[str] | npt.NDArray[np.uint8]) -> Decoded:
    """Read a picture, upright.

    Raises:
        InputError: It cannot be decoded, or its pixels are none of a picture.
    """
    require_pillow()
    if not isinstance(picture, np.ndarray):
        return decode(Path(picture), Path(picture).name)
    grey, colours = picture.ndim == 2, picture.ndim == 3 and picture.shape[2] == 3
    if picture.dtype != np.uint8 or not (grey or colours) or not picture.size:
        raise InputError(
            f"a picture is uint8 (H, W, 3) or (H, W), got {picture.dtype} {picture.shape}"
        )
    return Decoded(from_array(picture), turned=False)
