"""Where the networks of an artifact and of its source look in a picture."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from simam_deploy.core.arrays import Array, Feeds
from simam_deploy.core.progress import Progress
from simam_deploy.errors import InputError, UsageError
from simam_deploy.pipeline.explain import read_picture
from simam_deploy.pipeline.explained import Explained, GradCam, open_explained
from simam_deploy.pipeline.options import ExplainOptions
from simam_deploy.source.options import NetworkOptions
from simam_deploy.source.samples.heatmap import Heatmap


@dataclass(frozen=True)
class Views:
    """A picture, and where networks look in it.

    Attributes:
        picture: Its file's name.
        pixels: uint8 (H, W, 3), upright.
        feeds: What the artifact is given of it.
        attention: The gates of each of its sites, averaged over the channels.
        grad_cams: Of the source's sites in PyTorch, those that its score depends on; none without
            a source.
        reason: Why there are none, where there is a source.
    """

    picture: str
    pixels: Array = field(repr=False)
    feeds: Feeds = field(repr=False)
    attention: tuple[Heatmap, ...]
    grad_cams: tuple[GradCam, ...] = ()
    reason: str = ""


def look(
    image: Path, artifact: Path, source: Path | None, network: NetworkOptions, progress: Progress
) -> Views:
    """Show a picture to an artifact, and to its source where that is given.

    Args:
        image: The picture.
        artifact: The .onnx.
        source: What it was made of.
        network: What is said of the source; its recipe is for both.
        progress: Told each step.

    Raises:
        InputError: A file cannot be used, or the artifact takes no pictures or has no SimAM.
        UsageError: An option does not fit.
    """
    decoded = read_picture(image)
    progress(f"looking at {image.name}")
    opened = open_explained(artifact, NetworkOptions(preprocess=network.preprocess), ())
    shown = opened.inputs.prepared(decoded)
    maps = opened.attention(shown)
    feeds = _whole_batch(opened, opened.inputs.feeds(shown))
    views = Views(image.name, np.asarray(decoded.picture.convert("RGB")), feeds, maps)
    if source is None:
        return views
    progress("computing Grad-CAM")
    try:
        explained = open_explained(source, network, ())
        picture = explained.inputs.prepared(read_picture(image))
        made = explained.grad_cams(picture, ExplainOptions(), explained.sites).maps
    except (InputError, UsageError) as error:  # a graph, no score, nothing detected
        return replace(views, reason=str(error))
    return replace(views, grad_cams=made)


def _whole_batch(opened: Explained, feeds: Feeds) -> Feeds:
    """Repeat a picture as often as the batch is fixed at."""
    size = opened.inputs.given.sample.shape[0]
    if not isinstance(size, int):
        return feeds
    return {name: np.repeat(array, size, 0) for name, array in feeds.items()}
