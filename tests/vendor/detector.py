"""ultralytics as its user has it, in a process of its own, for it changes torch where it is loaded.

python detector.py train       best.pt, theirs.onnx, state.pth and pictures/ of drawn squares
python detector.py boxes FILE  what its predictor finds in each of them, as JSON
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
from torchvision_nms import lend_nms

lend_nms()  # before ultralytics looks for it

import simam_layers  # noqa: E402, F401 registers SimAM
from PIL import Image  # noqa: E402
from ultralytics import YOLO  # noqa: E402
from ultralytics.cfg import get_cfg  # noqa: E402
from ultralytics.nn.tasks import DetectionModel  # noqa: E402

YAML = "yolov8n-simam.yaml"
SIDE, BATCH, STEPS, PICTURES = 160, 8, 160, 40
NAMES = {0: "red", 1: "green", 2: "blue"}
COLOURS = np.array([(220, 40, 40), (40, 200, 60), (50, 80, 230)])


def make():
    """The factory."""
    return DetectionModel(YAML, verbose=False)


def draw(height, width, rng):
    """Up to three boxes on noise: the picture, and rows of class, centre, width, height."""
    picture = rng.integers(90, 150, (height, width, 3)).astype(np.uint8)
    rows = []
    for _ in range(rng.integers(1, 4)):
        sides = rng.integers(SIDE // 6, SIDE // 3, 2)
        left, top = rng.integers(0, np.array([width, height]) - sides)
        kind = rng.integers(3)
        picture[top : top + sides[1], left : left + sides[0]] = COLOURS[kind]
        box = np.array([left + sides[0] / 2, top + sides[1] / 2, *sides])
        rows.append((kind, *(box / [width, height, width, height])))
    return picture, np.array(rows)


def batch(rng):
    pictures, rows = zip(*[draw(SIDE, SIDE, rng) for _ in range(BATCH)], strict=True)
    all_rows = torch.from_numpy(np.concatenate(rows)).float()
    return {
        "img": torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255,
        "batch_idx": torch.tensor([i for i, some in enumerate(rows) for _ in some]).float(),
        "cls": all_rows[:, :1],
        "bboxes": all_rows[:, 1:],
    }


def train():
    """Some seconds of its own loss, saved as its trainer does; and its own export."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    said = {"imgsz": SIDE, "data": "squares.yaml", "model": YAML}
    network = make().train()
    network.args, network.names = get_cfg(overrides=said), NAMES
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=STEPS)
    for _ in range(STEPS):
        network(batch(rng))[0].sum().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
    del network.criterion
    network.args = dict(vars(network.args))
    torch.save(network.eval().state_dict(), "state.pth")
    whole = {"epoch": -1, "model": None, "ema": network.half(), "train_args": network.args}
    torch.save({**whole, "optimizer": None, "date": "2026-11-26", "version": "8.4"}, "best.pt")
    Path("pictures").mkdir()
    for number in range(PICTURES):
        height, width = (SIDE, SIDE) if number else (120, 200)
        Image.fromarray(draw(height, width, rng)[0]).save(f"pictures/{number:02}.png")
    shutil.move(YOLO("best.pt").export(format="onnx", simplify=False), "theirs.onnx")


def boxes(file):
    """Rows of left, top, right, bottom, score, class of each picture."""
    model = YOLO(file)
    # A .pt would be fed the least rectangle, an .onnx of fixed sizes all of its input.
    fixed = {"imgsz": SIDE, "rect": False} if file.endswith(".pt") else {}
    pictures = map(str, sorted(Path("pictures").glob("*.png")))
    found = [model.predict(p, conf=0.25, verbose=False, **fixed)[0] for p in pictures]
    print(json.dumps([each.boxes.data.tolist() for each in found]))


if __name__ == "__main__":
    {"train": train, "boxes": boxes}[sys.argv[1]](*sys.argv[2:])
