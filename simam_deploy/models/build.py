"""Turn a zoo entry, or an identified checkpoint, into a module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from simam_deploy.errors import NetworkError
from simam_deploy.models.fit import show
from simam_deploy.models.identify import Identity
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
) -> nn.Module:
    """Make a network with fresh weights, in training mode.

    Args:
        network: An entry of `zoo.NETWORKS`.
        e_lambda: SimAM's lambda; the family's published one if None.
        widths: Base widths, as many as `network.widths` has; those if None.
        num_outputs: Classes or embedding size; the published number if None. A backbone has none.
    """
    lam = network.family.e_lambda if e_lambda is None else e_lambda
    sizes = network.widths if widths is None else widths
    if network.num_outputs is None:
        return Backbone(network, sizes[0], lam)
    outputs = network.num_outputs if num_outputs is None else num_outputs
    match network.body:
        case "resnet":
            return ResNet(network, sizes[0], outputs, lam)
        case "mobilenet_v2":
            return MobileNetV2(sizes, outputs, lam)
        case "cifar_resnet":
            return CifarResNet(network, sizes[0], outputs, lam)
        case "cifar_preresnet":
            return CifarPreResNet(network, sizes[0], outputs, lam)
        case "cifar_wideresnet":
            return CifarWideResNet(network, sizes[0], outputs, lam)
        case "cifar_mobilenetv2":
            return CifarMobileNetV2(sizes, outputs, lam)
        case "wespeaker":
            return WeSpeakerResNet(network, sizes[0], outputs, lam)


def build(identity: Identity, weights: Mapping[str, Tensor], e_lambda: float) -> nn.Module:
    """Make the identified network around `weights`, which are taken as they are, not copied.

    Args:
        identity: What `identify` said about the shapes of these weights.
        weights: The checkpoint's state_dict: float tensors, int64 counters.
        e_lambda: SimAM's lambda.

    Returns:
        The network in eval mode, without gradients.

    Raises:
        NetworkError: A key is missing or unexpected, or a tensor has another shape.
    """
    strange = weights.keys() - identity.renames.keys() - set(identity.dropped)
    if strange:
        raise NetworkError(f"{show(min(strange))} is no tensor of {identity.network.name}")
    state = {name: weights[key] for key, name in identity.renames.items() if key in weights}
    with torch.device("meta"):
        model = create(identity.network, e_lambda, identity.widths, identity.num_outputs)
    try:
        # torch itself sets missing counters of batch norm to 0: `state` carries no version.
        model.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise NetworkError(" ".join(str(error).split())) from None
    return model.requires_grad_(False).eval()
