"""Networks export without shape arithmetic, whatever is dynamic."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace

import pytest
import torch

from simam_deploy.models.attention.simam import as_nodes
from simam_deploy.models.create import create
from simam_deploy.models.zoo import NETWORKS, Network
from tests.marks import slow_but

SHAPE_ARITHMETIC = {"Shape", "Gather", "Size", "Slice", "Squeeze", "Expand", "Range", "Cast"}
NINE = (8, 8, 8, 8, 8, 8, 8, 8, 16)
WIDTHS = {
    "resnet50d": (16,),
    "resnet50_backbone": (8,),
    "mobilenet_v2": NINE,
    "cifar_resnet20": (8,),
    "cifar_wideresnet28x10": (2,),
    "wespeaker_simam_resnet34_asp": (4,),
}


def _exported(network: Network, dynamic: str) -> Counter[str]:
    """Count the node kinds of the narrow network, one block a stage."""
    shallow = replace(network, blocks=(1,) * len(network.blocks))
    model = create(shallow, widths=WIDTHS[network.name]).eval()
    spatial = dict(network.family.dynamic_axes)
    axes = {"none": None, "batch": {0: "batch"}, "hw": {0: "batch", **spatial}}[dynamic]
    x = torch.rand(2, *network.family.input_shape[:-2], 64, 80)
    with as_nodes(model), warnings.catch_warnings():
        # torch 2.13's exporter calls a pytree function it has deprecated itself.
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(model, (x,), dynamo=True, dynamic_shapes=(axes,), verbose=False)
    assert program is not None
    return Counter(node.op_type for node in program.model.graph)


@pytest.mark.parametrize("name", slow_but(["cifar_resnet20"], WIDTHS))
def test_free_maps_need_no_shape_arithmetic(name: str) -> None:
    kinds = _exported(NETWORKS[name], "hw")
    assert not SHAPE_ARITHMETIC & set(kinds)
    speaker = name.startswith("wespeaker")
    # One node pools the whole map; the features of a speaker network are merged by one constant.
    assert kinds["ReduceMean"] == int(kinds["Gemm"] == 1 and not speaker)
    assert kinds["Reshape"] == int(speaker)


@pytest.mark.parametrize("dynamic", ["none", "batch"])
def test_nor_does_a_fixed_speaker_network(dynamic: str) -> None:
    kinds = _exported(NETWORKS["wespeaker_simam_resnet34_asp"], dynamic)
    assert not SHAPE_ARITHMETIC & set(kinds)
    assert kinds["Reshape"] == 1
