"""What a network costs, counted on the meta device: no weights are made."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from simam_deploy.models.create import create
from simam_deploy.models.zoo import Network


class Cost(NamedTuple):
    """What a network of the published size costs.

    Attributes:
        parameters: Trained numbers; statistics of batch norm are not among them.
        flops: Multiplications and additions of convolutions and matrix products for one input, as
            torch counts them: two for each pair. SimAM has none of these.
    """

    parameters: int
    flops: int


def cost_of(network: Network) -> Cost:
    """Count the cost of one input of the published shape."""
    with torch.device("meta"):
        model = create(network).eval()
        x = torch.empty(1, *network.family.input_shape)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Cost(parameters, counter.get_total_flops())
