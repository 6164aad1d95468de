"""Detect in a picture with a file, or with a server that has it, and draw what was found.

NumPy and Pillow, and ONNX Runtime or tritonclient, are all it takes.

Usage: python detect.py MODEL.onnx PICTURE FOUND.png [--server HOST:PORT]
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

LEAST, OVERLAP = 0.25, 0.45
"""Score of a detection, and the share of two boxes of which the lower counts as the same."""


def letterbox(
    picture: Image.Image, width: int, height: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Fit a picture into the middle of grey, as detectors are trained.

    Returns:
        The input (1, 3, H, W) float32 of 0 to 1, left and top of the picture in it, and its scale.
    """
    scale = min(width / picture.width, height / picture.height)
    size = round(picture.width * scale), round(picture.height * scale)
    left, top = (round(d / 2 - 0.1) for d in (width - size[0], height - size[1]))
    filled = Image.new("RGB", (width, height), (114, 114, 114))
    filled.paste(picture.resize(size, Image.Resampling.BILINEAR), (left, top))
    light = np.asarray(filled, np.float32).transpose(2, 0, 1)[None] / 255
    return light, np.array([left, top, left, top]), scale


def suppress(output: np.ndarray) -> list[tuple[np.ndarray, int, float]]:
    """Take the detections off the output (4 + classes, cells), the surest first."""
    centres, sides, scores = output[:2].T, output[2:4].T, output[4:].T
    corners = np.concatenate([centres - sides / 2, centres + sides / 2], 1)
    found: list[tuple[np.ndarray, int, float]] = []
    for cell in np.argsort(-scores.max(1)):
        box, kind, score = corners[cell], int(scores[cell].argmax()), float(scores[cell].max())
        if score < LEAST:
            break
        if all(kind != other or overlap(box, taken) < OVERLAP for taken, other, _ in found):
            found.append((box, kind, score))
    return found


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Give the share of two boxes (left, top, right, bottom) that both cover."""
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))


def run(model: str, pixels: np.ndarray, server: str | None) -> np.ndarray:
    """Give the output (1, 4 + classes, cells), computed here or by a server."""
    if server:
        import tritonclient.http as http

        with http.InferenceServerClient(server) as client:
            tensor = http.InferInput("images", pixels.shape, "FP32").set_data_from_numpy(pixels)
            return client.infer(Path(model).stem, [tensor]).as_numpy("output0")
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["output0"], {"images": pixels})[0]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("picture")
    parser.add_argument("found")
    parser.add_argument("--server")
    args = parser.parse_args()
    facts = json.loads(Path(args.model).with_suffix(".json").read_text())
    picture = Image.open(args.picture).convert("RGB")
    pixels, offset, scale = letterbox(picture, *facts["preprocessing"]["resize"])
    (output,) = run(args.model, pixels, args.server)
    pen, names = ImageDraw.Draw(picture), []
    for box, kind, score in suppress(output):
        place = [round(float(n)) for n in (box - offset) / scale]
        names.append(facts["classes"][kind])
        print(f"{names[-1]} {score:.2f} at {place}")
        pen.rectangle(place, outline=(255, 255, 255), width=2)
    picture.save(args.found)
    print(f"{args.found}: {', '.join(names)}")


if __name__ == "__main__":
    main()
