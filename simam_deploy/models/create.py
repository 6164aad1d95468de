"""Make a network of the zoo, and know its state_dict: the module is the one table of its keys."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from simam_deploy.models.attention.choice import Attention
from simam_deploy.models.networks.cifar_mobilenetv2 import CifarMobileNetV2
from simam_deploy.models.networks.cifar_preresnet import CifarPreResNet
from simam_deploy.models.networks.cifar_resnet import CifarResNet
from simam_deploy.models.networks.cifar_wideresnet import CifarWideResNet
from simam_deploy.models.networks.mobilenet_v2 import MobileNetV2
from simam_deploy.models.networks.resnet import Backbone, ResNet
from simam_deploy.models.networks.wespeaker import WeSpeakerResNet
from simam_deploy.models.zoo import Network


def create(
    network: Network,
    e_lambda: float | None = None,
    widths: Sequence[int] | None = None,
    num_outputs: int | None = None,
    inner: Sequence[int] = (),
) -> nn.Module:
    """Make a network with fresh weights, in training mode.

    Args:
        network: An entry of `zoo.NETWORKS`.
        e_lambda: SimAM's lambda; the family's published one if None.
        widths: Base widths, as many as `network.widths` has; those if None.
        num_outputs: Classes or embedding size; the published number if None. A backbone has none.
        inner: The inner sizes of its attention modules, in forward order; as published if empty.
    """
    lam = network.family.e_lambda if e_lambda is None else e_lambda
    attention = Attention(network.attention, lam, inner)
    sizes = network.widths if widths is None else widths
    if network.num_outputs is None:
        return Backbone(network, sizes[0], attention)
    outputs = network.num_outputs if num_outputs is None else num_outputs
    match network.body:
        case "resnet":
            return ResNet(network, sizes[0], outputs, attention)
        case "mobilenet_v2":
            return MobileNetV2(sizes, outputs, attention)
        case "cifar_resnet":
            return CifarResNet(network, sizes[0], outputs, attention)
        case "cifar_preresnet":
            return CifarPreResNet(network, sizes[0], outputs, attention)
        case "cifar_wideresnet":
            return CifarWideResNet(network, sizes[0], outputs, attention)
        case "cifar_mobilenetv2":
            return CifarMobileNetV2(sizes, outputs, attention)
        case "wespeaker":
            return WeSpeakerResNet(network, sizes[0], outputs, lam)


@functools.cache
def expected_shapes(
    network: Network,
    widths: tuple[int, ...],
    num_outputs: int | None,
    inner: tuple[int, ...] = (),
) -> Mapping[str, tuple[int, ...]]:
    """List the keys and shapes of `network` in the authors' layout, with batch norm's counters.

    The module is made on the meta device, without memory for its weights: 10 to 100 ms.

    Args:
        network: The network.
        widths: Base widths, as many as `network.widths` has.
        num_outputs: Classes or embedding size; None for a backbone, which has no head.
        inner: The inner sizes of its attention modules, in forward order; as published if empty.

    Raises:
        ValueError: There is no network of these widths.
    """
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")  # of tensors without elements, which no checkpoint has
        model = create(network, None, widths, num_outputs, inner)
    return {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
