"""What a page of docs/ begins with: the files that its reader has, small ones of the same kind.

Each maker writes into the folder it is given, and is called with the examples and the digits
beside it. Weights are trained where a page shows what a trained network does, else drawn.
"""

import runpy
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image

from simam_deploy import NETWORKS
from tests.readmes import here

EXAMPLES = Path(__file__).parents[2] / "examples"
DIGITS = next(EXAMPLES.glob("digits-*/model_best.pth.tar"))
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIDE = 32
"""Of a digit as its network takes it."""


def digits(folder: Path) -> None:
    """The trained digits network as model.pth; digits as pictures and samples, and their names."""
    shutil.copyfile(DIGITS, folder / "model.pth")
    example = folder / "examples" / DIGITS.parent.name
    example.mkdir(parents=True)
    shutil.copy(DIGITS, example)
    (folder / "names.txt").write_text("".join(f"{name}\n" for name in NAMES))
    pixels, labels = _digits()
    facts = NETWORKS["cifar_preresnet20"].family.preprocessing
    mean, std = (np.reshape(facts[name], (1, 3, 1, 1)) for name in ("mean", "std"))
    images = ((pixels[:, None] / 240 - mean) / std).astype(np.float32)
    np.savez(folder / "samples.npz", images=images, labels=labels)
    for number, (picture, label) in enumerate(zip(pixels[:40], labels, strict=False)):
        place = folder / "pictures" / NAMES[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).convert("RGB").save(place / f"{number}.png")
    Image.fromarray(pixels[0]).convert("RGB").resize((200, 200)).save(folder / "cat.jpg")


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Give scikit-learn's first 256 digits (N, 32, 32) uint8 of 0 to 240, and their labels (N,)."""
    from sklearn.datasets import load_digits

    found = load_digits()
    large = np.kron(found.images[:256], np.ones((4, 4))) * 15
    return large.astype(np.uint8), found.target[:256]


def own_networks(folder: Path) -> None:
    """A U-Net, a network of two inputs, a program, and ONNX files with SimAM and without."""
    shutil.copy(EXAMPLES / "unet" / "unet.py", folder)
    torch.manual_seed(0)
    torch.save(runpy.run_path(str(folder / "unet.py"))["UNet"]().state_dict(), "unet.pth")
    (folder / "pair.py").write_text(_PAIR)
    pair = runpy.run_path(str(folder / "pair.py"))["make"]()
    torch.save(pair.state_dict(), folder / "pair.pth")
    from tests.nets import networks

    program = torch.export.export(networks.Classifier().eval(), (torch.rand(1, 3, 32, 32),))
    torch.export.save(program, folder / "program.pt2")
    shutil.copy(EXAMPLES / "others_onnx" / "theirs.py", folder)
    here("python theirs.py")
    onnx.save(onnx.parser.parse_model(_PLAIN), folder / "plain.onnx")


_PAIR = '''"""Two pictures, told apart by what SimAM sees in each."""

import torch
from simam_deploy import SimAM


class Pair(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.step = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, 4), SimAM(), torch.nn.ReLU())
        self.head = torch.nn.Linear(16, 2)

    def forward(self, left, right):
        seen = [self.step(side).mean((2, 3)) for side in (left, right)]
        return self.head(torch.cat(seen, 1))


def make():
    torch.manual_seed(0)
    return Pair()
'''
_PLAIN = """<ir_version: 8, opset_import: ["" : 18]>
plain (float[N, 3, 8, 8] x) => (float[N, 3, 8, 8] y) { y = Relu(x) }"""


def yolo(folder: Path) -> None:
    """The example's YOLO, trained, and its pictures."""
    _example(folder, "yolo", "yolo.py", "train.py")


def detector(folder: Path) -> None:
    """The example's Mask R-CNN, trained, and a photograph with stickers on it."""
    _example(folder, "mask_rcnn", "config.py", "stickers.py", "train.py")
    with Image.open(folder / "picture.png") as picture:
        picture.convert("RGB").save(folder / "street.jpg")


def speaker(folder: Path) -> None:
    """A speaker network."""
    _example(folder, "wespeaker", "features.py", "make_inputs.py")


def _example(folder: Path, name: str, *files: str) -> None:
    """Copy files of an example, and run the last of them."""
    for file in files:
        shutil.copy(EXAMPLES / name / file, folder)
    here(f"python {files[-1]}")


GIVEN: Mapping[str, tuple[Callable[[Path], None], ...]] = {
    "README": (digits,),
    "export": (digits,),
    "own_networks": (own_networks,),
    "pictures": (digits,),
    "yolo": (yolo,),
    "detectors": (detector,),
    "speaker": (speaker,),
    "precision": (digits,),
    "looking": (digits,),
    "engines": (digits,),
    "benchmarks": (digits,),
    "serve": (digits,),
    "scale_out": (digits,),
    "python": (digits,),
}
"""By the page's name; a page that is not here runs nothing, or begins with an empty folder."""
