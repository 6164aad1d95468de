"""The protocol's names of element types, and NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np

from simam_deploy.core.arrays import numpy_type
from simam_deploy.core.specs import ELEMENTS, TensorSpec
from simam_deploy.errors import InputError

DTYPES: dict[str, np.dtype[Any]] = {
    element.protocol: np.dtype(element.name).newbyteorder("<")
    for element in ELEMENTS
    if element.name != "bfloat16"
}
"""By the protocol's name, of what NumPy has itself. BYTES is left out: no SimAM network has it at
its border."""
BF16 = "BF16"
"""ml_dtypes' bfloat16, which is imported when a model has it."""

DATATYPES = {dtype: name for name, dtype in DTYPES.items()}


def datatype_of(spec: TensorSpec) -> str:
    """Give the protocol's name of a tensor's element type.

    Raises:
        InputError: It has none here.
    """
    if spec.dtype == "bfloat16":
        return BF16
    try:
        return DATATYPES[np.dtype(spec.dtype)]
    except (TypeError, KeyError):
        raise InputError(
            f"tensor {spec.name} holds {spec.dtype}, which is not served; "
            f"served are {', '.join((*DTYPES, BF16))}"
        ) from None


def dtype_of(datatype: str) -> np.dtype[Any]:
    """Give NumPy's type of what `datatype_of` gave."""
    return np.dtype(numpy_type("bfloat16")) if datatype == BF16 else DTYPES[datatype]


def is_floating(dtype: np.dtype[Any]) -> bool:
    """Tell whether numbers of a type have fractions; to NumPy bfloat16 is of no kind."""
    return dtype.kind == "f" or dtype.name == "bfloat16"
