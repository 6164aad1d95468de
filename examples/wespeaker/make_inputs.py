"""Stand in for a trained network and recordings: writes avg_model.pt, short.wav and long.wav.

The weights are drawn, in the layout of WeSpeaker's SimAM_ResNet34_ASP at an eighth of its width;
the batch norms have seen log-mel features. So the embeddings tell nobody apart.
"""

import wave

import numpy as np
import torch
from torch import nn

from features import log_mel
from simam_deploy import NETWORKS
from simam_deploy.models.create import create

NETWORK = NETWORKS["wespeaker_simam_resnet34_asp"]
RATE = 16000


def network() -> nn.Module:
    """Draw the weights, and let the batch norms measure their statistics on voices."""
    torch.manual_seed(0)
    made = create(NETWORK, widths=[8])
    for module in made.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = None
    pitches = np.linspace(90.0, 240.0, 8)
    waves = (voice(1.0, pitch) / np.float32(32768) for pitch in pitches)
    feats = [log_mel(samples, NETWORK.family.preprocessing) for samples in waves]
    with torch.no_grad():
        made.train()(torch.from_numpy(np.concatenate(feats)))
    return made.eval()


def voice(seconds: float, pitch: float) -> np.ndarray:
    """Sing "ah" with some breath: (samples,) int16."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * pitch * (time + 0.002 * np.sin(2 * np.pi * 5 * time))
    harmonics = np.arange(1, 30)
    formants = sum(np.exp(-(((harmonics * pitch - f) / 150) ** 2)) for f in (700, 1200, 2600))
    sung = (formants + 0.02) @ np.sin(np.outer(harmonics, phase))
    breath = np.random.default_rng(0).normal(0, 0.02, time.shape)
    return (4000 * np.sin(np.pi * time / seconds) * (sung + breath)).astype(np.int16)


def write(path: str, samples: np.ndarray) -> None:
    """Write a wave file: 16 kHz, mono, 16 bits."""
    with wave.open(path, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", None))
        file.writeframes(samples.astype("<i2").tobytes())


def main() -> None:
    torch.save(network().state_dict(), "avg_model.pt")
    write("short.wav", voice(1.5, 120.0))
    write("long.wav", voice(4.0, 200.0))
    print("avg_model.pt, short.wav, long.wav")


if __name__ == "__main__":
    main()
