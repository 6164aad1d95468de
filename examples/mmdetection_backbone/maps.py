"""Show the feature maps that an exported backbone makes of a picture.

Usage: python maps.py BACKBONE.onnx PICTURE; beside the .onnx lies its manifest.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image


def network_input(picture: Image.Image, facts: Mapping[str, Any]) -> np.ndarray:
    """Prepare a picture as a manifest's `preprocessing` says: (1, 3, H, W) float32.

    It is scaled to fit into `resize`, normalised, and padded below and at the right to multiples
    of `pad_divisor`.
    """
    sides = zip(sorted(facts["resize"]), sorted(picture.size), strict=True)
    factor = min(most / side for most, side in sides)
    width, height = (int(side * factor + 0.5) for side in picture.size)
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    normal = (pixels * facts["scale"] - facts["mean"]) / facts["std"]
    below, right = (-side % facts["pad_divisor"] for side in (height, width))
    return np.pad(normal, ((0, below), (0, right), (0, 0))).transpose(2, 0, 1)[None].astype("f")


def maps(model: Path, picture: np.ndarray) -> dict[str, np.ndarray]:
    """Run the backbone; the maps by their names."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"input": picture}), strict=True))


def main() -> None:
    model, source = map(Path, sys.argv[1:])
    facts = json.loads(model.with_suffix(".json").read_text())["preprocessing"]
    picture = network_input(Image.open(source).convert("RGB"), facts)
    found = maps(model, picture)
    np.savez("maps.npz", input=picture, **found)
    print(f"input  {picture.shape}")
    for name, values in found.items():
        print(f"{name} {values.shape}, mean {values.mean():.2f}")


if __name__ == "__main__":
    main()
