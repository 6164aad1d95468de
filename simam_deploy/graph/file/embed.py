"""Take into a model what of its external data need not, or must not, stay outside.

Only large initializers of the main graph stay in their files: these are what `weights` and `write`
carry past. Any other tensor goes through messages, which know a file's name but not its folder.
"""

from __future__ import annotations

import onnx_ir as ir

_SMALL = 8192
"""Elements that recognition reads. A mapped tensor holds a file descriptor, of which there are
1024, and a ResNet-152 has 600 such vectors."""


def embed_external(model: ir.Model) -> None:
    """Replace small external tensors, and those of attributes and nested graphs, by arrays.

    A large one of a nested graph stays mapped until it is read.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is not as it was when it was checked.
    """
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in graph.initializers.values():
            tensor = value.const_value
            stays = graph is model.graph and tensor is not None and tensor.size > _SMALL
            if isinstance(tensor, ir.ExternalTensor) and not stays:
                value.const_value = _embedded(tensor)
    for node in model.graph.all_nodes():
        for attribute in list(node.attributes.values()):
            if attribute.type == ir.AttributeType.TENSOR and not attribute.is_ref():
                tensor = attribute.as_tensor()
                if isinstance(tensor, ir.ExternalTensor):
                    node.attributes.add(ir.AttrTensor(attribute.name, _embedded(tensor)))


def _embedded(tensor: ir.ExternalTensor) -> ir.TensorProtocol:
    array = tensor.numpy()
    if tensor.size <= _SMALL:
        array = array.copy()
    return ir.Tensor(array, dtype=tensor.dtype, shape=tensor.shape, name=tensor.name)
