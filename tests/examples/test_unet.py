"""examples/unet: the masks that its README draws are those of PyTorch."""

import runpy

import numpy as np
import onnx
import torch
from PIL import Image


def test_the_masks_are_pytorchs(play, open_example):
    play(open_example("unet"))
    network = runpy.run_path("unet.py")["UNet"]()
    network.load_state_dict(torch.load("unet.pth"))
    pixels = np.asarray(Image.open("picture.png"))
    picture = torch.from_numpy(pixels / np.float32(127.5) - 1).permute(2, 0, 1)[None]
    with torch.inference_mode():
        background, shape = network.eval()(picture)[0].numpy()
    mask = shape > background
    assert 0.1 < mask.mean() < 0.4
    for drawn, clear in (("mask.png", 1e-3), ("mask.fp16.png", 0.1)):
        told = np.abs(shape - background) > clear
        assert told.mean() > 0.99
        np.testing.assert_array_equal(_orange(drawn)[told], mask[told])
    types = {tensor.data_type for tensor in onnx.load("unet.fp16.onnx").graph.initializer}
    assert onnx.TensorProto.FLOAT16 in types


def _orange(path):
    """Read a mask off the right half, which is grey elsewhere."""
    pixels = np.asarray(Image.open(path), int)
    right = pixels[:, pixels.shape[1] // 2 :]
    return right[..., 0] > right[..., 2] + 50
