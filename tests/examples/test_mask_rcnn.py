"""examples/mask_rcnn: its boxes and masks lie on the stickers, and are PyTorch's."""

import runpy
from pathlib import Path

import numpy as np
import torch
from PIL import Image

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
LEAST = 0.5
"""The least overlap of a mask with its sticker; of the six it was 0.71 to 0.94."""


def test_the_masks_lie_on_what_is_there(play, open_example, monkeypatch):
    play(open_example("mask_rcnn"))
    monkeypatch.syspath_prepend(str(Path.cwd()))
    detect, stickers = runpy.run_path("detect.py"), runpy.run_path("stickers.py")
    found = list(detect["detect"](Path("mask_rcnn.onnx"), Path("picture.png")))
    _check_stickers(found, stickers)
    _check_pytorch(found, runpy.run_path("config.py")["new_detector"](3))
    here, served = (np.asarray(Image.open(f"{name}.png"), int) for name in ("found", "served"))
    assert (np.abs(here - served).max(axis=2) > 0).mean() < 0.01
    plain = np.asarray(Image.open("picture.png"), int)
    shown = np.abs(here - plain).max(axis=2) > 10
    assert all(shown[each.mask].mean() > 0.9 for each in found)


def _check_stickers(found, stickers):
    stuck = stickers["stick"](
        np.asarray(stickers["photograph"]("china.jpg")), 2, 3, np.random.default_rng(5)
    )
    assert len(found) == len(stuck.labels)
    for each in found:
        shares = [(each.mask & mask).sum() / (each.mask | mask).sum() for mask in stuck.masks]
        best = int(np.argmax(shares))
        assert shares[best] > LEAST
        assert each.label == stickers["CLASSES"][stuck.labels[best]]


def _check_pytorch(found, network):
    """Hold boxes, scores and classes against the network in torch, the picture scaled by torch."""
    network.load_state_dict(torch.load("epoch_1.pth")["state_dict"])
    picture = torch.from_numpy(np.array(Image.open("picture.png"))).permute(2, 0, 1)[None].float()
    small = torch.nn.functional.interpolate(picture, (128, 192), mode="bilinear").round()
    image = (small - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.inference_mode():
        count, boxes, scores, _, _ = network.eval()(image, torch.tensor([[128.0, 192.0]]))
    kept = scores[0] > 0.5
    assert count.item() >= kept.sum() == len(found)
    wanted = boxes[0, kept].numpy() * np.array([640 / 192, 427 / 128] * 2)
    np.testing.assert_allclose([each.box for each in found], wanted, rtol=0, atol=0.05)
    np.testing.assert_allclose([each.score for each in found], scores[0, kept], rtol=0, atol=1e-4)
