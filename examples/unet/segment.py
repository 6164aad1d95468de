"""Show what an exported U-Net sees in a picture; ONNX Runtime, NumPy and Pillow are all it takes.

Usage: python segment.py MODEL.onnx PICTURE MASK.png
"""

import sys

import numpy as np
import onnxruntime
from PIL import Image

ORANGE = (255, 130, 0)


def network_input(picture: np.ndarray) -> np.ndarray:
    """Scale a picture (H, W, 3) uint8 to the (1, 3, H, W) float32 in -1 to 1 that is trained on."""
    return (picture / np.float32(127.5) - 1).transpose(2, 0, 1)[None]


def segment(model: str, picture: np.ndarray) -> np.ndarray:
    """Tell the pixels (H, W) of shapes, as bools; H and W are multiples of 4."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    background, shape = session.run(None, {name: network_input(picture)})[0][0]
    return shape > background


def side_by_side(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Put the picture beside itself in grey, with the mask in orange."""
    grey = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
    masked = np.where(mask[..., None], 0.4 * grey + 0.6 * np.array(ORANGE), grey)
    return np.concatenate([picture, masked.astype(np.uint8)], axis=1)


def main() -> None:
    model, source, target = sys.argv[1:]
    picture = np.asarray(Image.open(source).convert("RGB"))
    mask = segment(model, picture)
    Image.fromarray(side_by_side(picture, mask)).save(target)
    height, width = mask.shape
    print(f"{target}: {mask.mean():.1%} of {width} x {height} pixels are shape")


if __name__ == "__main__":
    main()
