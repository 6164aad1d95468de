"""examples/wespeaker: from wave files of two lengths to PyTorch's embeddings, here and served."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from simam_deploy import NETWORKS
from simam_deploy.models.create import create

pytest.importorskip("kaldi_native_fbank", reason="see examples/wespeaker/requirements.txt")

KALDI = {
    (0, 0): -4.0063,
    (0, 40): -5.9857,
    (0, 79): -5.5945,
    (74, 5): -0.2327,
    (74, 79): 1.7126,
    (147, 20): -4.1961,
}
"""Some of what torchaudio 2.11's `kaldi.fbank` gives for short.wav, times 32768: 80 bins, dither 0,
a Hamming window; less the mean of each bin. Another window is off by 0.014 at the least of them,
by 2 at the most; without the scale the first is off by 0.05."""


def test_the_embeddings_are_pytorchs(play, open_example):
    *alone, serve, ask = open_example("wespeaker")
    play(alone)
    _check()
    for path in Path.cwd().glob("*.npy"):
        path.unlink()
    play([serve, ask])
    _check()


def _check():
    features = runpy.run_path("features.py")
    facts = json.loads(Path("speaker.json").read_text())["preprocessing"]
    network = create(NETWORKS["wespeaker_simam_resnet34_asp"], e_lambda=1e-4, widths=[8])
    network.load_state_dict(torch.load("avg_model.pt"))
    for name, frames in (("short", 148), ("long", 398)):
        feats = features["log_mel"](features["read_wave"](f"{name}.wav", 16000), facts)
        assert feats.shape == (1, frames, 80)
        if name == "short":
            found = [feats[0][place] for place in KALDI]
            np.testing.assert_allclose(found, list(KALDI.values()), rtol=0, atol=1e-3)
        with torch.inference_mode():
            (embedding,) = network.eval()(torch.from_numpy(feats)).numpy()
        found = np.load(f"{name}.npy")
        assert np.abs(found - embedding).max() < 1e-4 * np.abs(embedding).max()
