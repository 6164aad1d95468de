"""Ask every reader what a file says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from simam_deploy.source.stated.arguments import read_arguments
from simam_deploy.source.stated.lambdas import find_in_names, find_lambdas
from simam_deploy.source.stated.mmlab import read_mmlab
from simam_deploy.source.stated.places import find_places
from simam_deploy.source.stated.record import Stated
from simam_deploy.source.stated.yolo import read_yolo


def read_stated(tree: object, metadata: Mapping[str, object], path: Path | None = None) -> Stated:
    """Read what is said beside the weights; nothing in the file is run.

    Args:
        tree: What a checkpoint holds, read without its code: objects of unknown classes are dicts
            of what they stored. None of an .onnx.
        metadata: The metadata of a safetensors or ONNX file or of a program; values or text.
        path: A checkpoint, for what its name and its folder's say of lambda.
    """
    places = find_places(tree, metadata)
    by_name = find_in_names(path) if path is not None else ()
    lambdas = Stated(lambdas=(*find_lambdas(places), *by_name))
    unread = Stated(unread=places.unread)
    return unread + lambdas + read_mmlab(places) + read_yolo(places) + read_arguments(places)
