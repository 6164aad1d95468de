"""WeSpeaker's SimAM ResNets: log-mel features to speaker embeddings.

SimAM stands behind a block's second batch norm and leaves no trace in the keys.
Source: WeSpeaker's samresnet and its attentive statistics pooling (Okabe et al., "Attentive
Statistics Pooling for Deep Speaker Embedding", Interspeech 2018).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from simam_deploy.models.attention.simam import SimAM
from simam_deploy.models.networks.blocks import conv, projection, stages
from simam_deploy.models.networks.steps import ResidualStep, residual_steps
from simam_deploy.models.zoo import Network

_BINS = 10
"""What three halvings leave of 80 mel bins."""
_HIDDEN = 128
_LEAST_VARIANCE = 1e-5


class WeSpeakerResNet(nn.Module):
    """Speaker embedding.

    Input: log-mel features (N, T, 80), T frames of 10 ms. Output: embeddings (N, num_outputs).

    Args:
        network: Blocks in each of the four stages.
        width: Channels of the stem and planes of the first stage.
        num_outputs: Size of the embedding.
        e_lambda: SimAM's lambda.
    """

    def __init__(self, network: Network, width: int, num_outputs: int, e_lambda: float) -> None:
        super().__init__()
        features = width * 8 * _BINS
        self.front = Front(network, width, e_lambda)
        self.pooling = AttentivePooling(features)
        self.bottleneck = nn.Linear(2 * features, num_outputs)

    def forward(self, feats: Tensor) -> Tensor:
        """Return the embeddings."""
        maps = self.front(feats.transpose(1, 2).unsqueeze(1))
        embeddings: Tensor = self.bottleneck(self.pooling(maps))
        return embeddings


class Front(nn.Module):
    """The convolutions: (N, 1, 80, T) to (N, 8 * width, 10, T / 8).

    Args:
        network: Blocks in each of the four stages.
        width: Channels of the stem and planes of the first stage.
        e_lambda: SimAM's lambda.
    """

    def __init__(self, network: Network, width: int, e_lambda: float) -> None:
        super().__init__()
        self.conv1 = conv(1, width, 3)
        self.bn1 = nn.BatchNorm2d(width)
        steps = residual_steps(network.blocks, width, width, 1)
        made = stages(lambda step: SpeakerBlock(step, e_lambda), steps)
        self.layer1, self.layer2, self.layer3, self.layer4 = made

    def forward(self, x: Tensor) -> Tensor:
        """Return the last stage's map."""
        stem = F.relu(self.bn1(self.conv1(x)))
        last: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(stem))))
        return last


class SpeakerBlock(nn.Module):
    """ReLU(SimAM(bn2(conv2(ReLU(bn1(conv1 x))))) + downsample x); both convolutions are 3x3.

    Args:
        step: The block's place.
        e_lambda: SimAM's lambda.
    """

    def __init__(self, step: ResidualStep, e_lambda: float) -> None:
        super().__init__()
        self.conv1 = conv(step.inputs, step.planes, 3, step.stride)
        self.bn1 = nn.BatchNorm2d(step.planes)
        self.conv2 = conv(step.planes, step.planes, 3)
        self.bn2 = nn.BatchNorm2d(step.planes)
        self.simam = SimAM(e_lambda)
        self.downsample = projection(step)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, F, T) to (N, outputs, F / stride, T / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.simam(self.bn2(self.conv2(out)))
        return F.relu(out + self.downsample(x))


class AttentivePooling(nn.Module):
    """Attention-weighted mean and standard deviation over time.

    With w = softmax over T: m = sum(w x), s = sqrt(max(sum(w x^2) - m^2, 1e-5)).

    Args:
        features: Channels times frequency bins of its input.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            nn.Conv1d(features, _HIDDEN, 1),
            nn.ReLU(),
            nn.BatchNorm1d(_HIDDEN),
            nn.Conv1d(_HIDDEN, features, 1),
            nn.Softmax(dim=2),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Map (N, C, F, T) to (N, 2 * C * F): the means, then the deviations."""
        x = _merge_bins(maps)
        weighted = x * self.attention(x)
        mean = weighted.sum(dim=2)
        variance = (x * weighted).sum(dim=2) - mean * mean
        return torch.cat((mean, variance.clamp(min=_LEAST_VARIANCE).sqrt()), dim=1)


def _merge_bins(maps: Tensor) -> Tensor:
    """Map (N, C, F, T) to (N, C * F, T).

    Exported as one Reshape to (0, C * F, -1), a constant: traced with free batch and time it
    becomes six nodes that compute T / 8 from the input's Shape.
    """
    merged = maps.flatten(1, 2)
    if not torch.onnx.is_in_onnx_export():
        return merged
    target = torch.tensor([0, maps.shape[1] * maps.shape[2], -1])
    return torch.onnx.ops.symbolic("Reshape", (maps, target), dtype=maps.dtype, shape=merged.shape)
