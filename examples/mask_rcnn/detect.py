"""Detect in a picture with a file, or with a server that has it; draw boxes and masks.

Usage: python detect.py MODEL.onnx PICTURE FOUND.png [--server HOST:PORT]; beside the .onnx lies its
manifest. A server does all of it but the drawing, and needs NumPy and Pillow of its client.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request, urlopen

import numpy as np
from PIL import Image, ImageDraw

LEAST = 0.5
"""The score to be above."""
COLOURS = np.array([(30, 110, 225), (0, 150, 90), (120, 60, 200), (0, 160, 190)])


class Detection(NamedTuple):
    """One object; box x1 y1 x2 y2 in pixels of the picture, mask bool (H, W) of all of it."""

    label: str
    score: float
    box: list[float]
    mask: np.ndarray


def detect(model: Path, path: Path) -> Iterator[Detection]:
    """Run a file as its manifest says: prepare the picture, detect, paste the masks."""
    from simam_deploy import ObjectDetector

    with ObjectDetector(model) as detector:
        found = detector(path, LEAST)
    each = zip(found.names, found.scores, found.boxes, found.masks(), strict=True)
    for label, score, box, mask in each:
        yield Detection(label, float(score), box.tolist(), mask)


def ask(server: str, model: str, path: Path) -> Iterator[Detection]:
    """Send the picture as it is to `/detect`, and lay out the masks' runs of pixels."""
    url = f"http://{server}/v2/models/{model}/detect?threshold={LEAST}&masks=1"
    with urlopen(Request(url, data=path.read_bytes())) as response:
        answer = json.load(response)
    for found in answer["detections"]:
        part, mask = found["mask"], np.zeros((answer["height"], answer["width"]), bool)
        rows, columns = (
            slice(part[first], part[first] + part[length])
            for first, length in (("top", "height"), ("left", "width"))
        )
        turns = np.arange(len(part["counts"])) % 2 == 1  # first pixels that are not set
        bits = np.repeat(turns, part["counts"])
        mask[rows, columns] = bits.reshape(part["height"], part["width"])
        yield Detection(found["label"], found["score"], found["box"], mask)


def draw(path: Path, found: list[Detection]) -> Image.Image:
    """Draw masks over the picture, half seen through, then boxes and names."""
    pixels = np.array(Image.open(path).convert("RGB"), float)
    for number, each in enumerate(found):
        pixels[each.mask] = (pixels[each.mask] + COLOURS[number % len(COLOURS)]) / 2
    drawn = Image.fromarray(pixels.astype(np.uint8))
    pen = ImageDraw.Draw(drawn)
    for number, each in enumerate(found):
        colour, text = tuple(COLOURS[number % len(COLOURS)]), f" {each.label} {each.score:.2f} "
        pen.rectangle([round(side) for side in each.box], outline=colour, width=3)
        place = round(each.box[0]), max(0, round(each.box[1]) - 15)
        pen.rectangle(pen.textbbox(place, text, font_size=13), fill=colour)
        pen.text(place, text, fill="white", font_size=13)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("found", type=Path)
    parser.add_argument("--server")
    args = parser.parse_args()
    if args.server:
        found = ask(args.server, args.model.stem, args.picture)
    else:
        found = detect(args.model, args.picture)
    found = sorted(found, key=lambda each: each.box[0])
    for label, score, box, mask in found:
        place = ", ".join(f"{side:.0f}" for side in box)
        print(f"{label} {score:.2f} at {place}: {mask.sum()} pixels")
    draw(args.picture, found).save(args.found)
    print(f"{args.found}: {', '.join(each.label for each in found)}")


if __name__ == "__main__":
    main()
