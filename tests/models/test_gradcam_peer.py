"""Grad-CAM as captum, PyTorch's own library of explanations, computes it."""

import numpy as np
import pytest
import torch

from simam_deploy.models.create import create
from simam_deploy.models.gradcam import grad_cam
from simam_deploy.models.zoo import NETWORKS

captum_attr = pytest.importorskip(
    "captum.attr", reason="captum is missing: pip install 'simam-deploy[peers]'"
)

CASES = [
    ("resnet18", "layer4.1.conv2.1"),
    ("resnet18", "layer2.0"),
    ("resnet50", "layer4.2.conv2.1"),
    ("mobilenet_v2", "features.17"),
    ("cifar_preresnet56", "layer3.8.conv2.1"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layer"), CASES)
def test_a_peer_gives_the_same_map(name, layer):
    """Of drawn weights many a class has nothing positive in its map: five that have are compared,
    and the map of one is no other's."""
    torch.manual_seed(0)
    network = create(NETWORKS[name]).eval()
    x = torch.randn(1, *NETWORKS[name].family.input_shape[-3:])
    peer = captum_attr.LayerGradCam(network, network.get_submodule(layer))
    pairs = []
    for index in range(10):
        maps = grad_cam(network, [x], [layer], lambda out, c=index: out[0][c])
        theirs = peer.attribute(x, index, relu_attributions=True)[0, 0].detach().numpy()
        if theirs.max() > 0:
            pairs.append((maps[layer].numpy(), theirs))
    assert len(pairs) >= 3
    for ours, theirs in pairs:
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * theirs.max())
    assert np.corrcoef(pairs[0][0].ravel(), pairs[1][1].ravel())[0, 1] < 0.999
