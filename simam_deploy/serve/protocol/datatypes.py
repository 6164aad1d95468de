"""The protocol's names of element types, and NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np

from simam_deploy.core.specs import ELEMENTS, TensorSpec
from simam_deploy.errors import InputError

DTYPES: dict[str, np.dtype[Any]] = {
    element.protocol: np.dtype(element.name).newbyteorder("<")
    for element in ELEMENTS
    if element.name != "bfloat16"
}
"""By the protocol's name. BYTES and BF16 are left out: no array that ONNX Runtime takes from
NumPy holds them, and no SimAM network has them at its border."""

DATATYPES = {dtype: name for name, dtype in DTYPES.items()}


def datatype_of(spec: TensorSpec) -> str:
    """Give the protocol's name of a tensor's element type.

    Raises:
        InputError: It has none here.
    """
    try:
        return DATATYPES[np.dtype(spec.dtype)]
    except (TypeError, KeyError):
        raise InputError(
            f"tensor {spec.name} holds {spec.dtype}, which is not served; "
            f"served are {', '.join(DTYPES)}"
        ) from None
