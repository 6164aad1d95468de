"""The graph that is written, a node at a time; every value has its type and shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir.tensor_adapters import TorchTensor

from simam_deploy.op import contract
from simam_deploy.source.direct.extents import Size, Unknown


class Sheet:
    """Collects nodes and initializers.

    Args:
        weights: The network's tensors and their names; those that are used become initializers.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        self._names = {id(tensor): name for name, tensor in reversed(list(weights.items()))}
        self.nodes: list[ir.Node] = []
        self.initializers: dict[str, ir.Value] = {}

    def op(
        self,
        op_type: str,
        *inputs: ir.Value | None,
        shape: Sequence[Size],
        domain: str = "",
        **attributes: Any,
    ) -> ir.Value:
        """Append a node of one output, float32 of `shape`, and give that output."""
        node = ir.node(op_type, inputs, attributes=attributes, domain=domain)
        if domain == contract.DOMAIN:
            node.version = contract.OP_VERSION
        (value,) = node.outputs
        value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(shape)
        self.nodes.append(node)
        return value

    def weight(self, tensor: torch.Tensor | None) -> ir.Value | None:
        """Give the initializer of a network's tensor; None of None.

        Raises:
            Unknown: It is none of the network's, or not float32.
        """
        if tensor is None:
            return None
        name = self._names.get(id(tensor))
        if name is None or tensor.dtype != torch.float32:
            raise Unknown(f"a tensor of {tensor.dtype} that is no weight in float32")
        return self._initializer(name, TorchTensor(tensor, name=name))

    def numbers(self, values: Sequence[int]) -> ir.Value:
        """Give an initializer of int64 numbers, shared by what wants the same."""
        name = "_".join(["numbers", *map(str, values)])
        return self._initializer(name, ir.tensor(np.array(values, np.int64), name=name))

    def number(self, value: float) -> ir.Value:
        """Give an initializer of one float32 number, shared as `numbers` are."""
        name = f"number_{value!r}"
        return self._initializer(name, ir.tensor(np.array(value, np.float32), name=name))

    def _initializer(self, name: str, tensor: ir.TensorProtocol) -> ir.Value:
        if name not in self.initializers:
            self.initializers[name] = ir.val(name, const_value=tensor)
        return self.initializers[name]
