"""Turn an identified checkpoint into a module."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from simam_deploy.errors import NetworkError
from simam_deploy.models.create import create
from simam_deploy.models.fit import show
from simam_deploy.models.identify import Identity


def build(identity: Identity, weights: Mapping[str, Tensor], e_lambda: float | None) -> nn.Module:
    """Make the identified network around `weights`, which are taken as they are, not copied.

    Args:
        identity: What `identify` said about the shapes of these weights.
        weights: The checkpoint's state_dict: float tensors, int64 counters.
        e_lambda: SimAM's lambda; None for a network without SimAM.

    Returns:
        The network in eval mode, without gradients.

    Raises:
        NetworkError: A key is missing or unexpected, or a tensor has another shape.
    """
    strange = weights.keys() - identity.renames.keys() - set(identity.dropped)
    if strange:
        raise NetworkError(f"{show(min(strange))} is no tensor of {identity.network.title}")
    state = {name: weights[key] for key, name in identity.renames.items() if key in weights}
    with torch.device("meta"):
        sizes = identity.widths, identity.num_outputs, identity.inner
        model = create(identity.network, e_lambda, *sizes)
    try:
        # torch itself sets missing counters of batch norm to 0: `state` carries no version.
        model.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise NetworkError(" ".join(str(error).split())) from None
    return model.requires_grad_(False).eval()
