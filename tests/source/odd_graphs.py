"""Odd ONNX files, each made from a seed: a valid one, changed in its structure or its bytes.

What comes out may be valid, wrong, or no model at all.
"""

import random

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.source import others

_NAMES = ("", "x", "y", "a/b", "-1", "\x1b[2J\n", "n" * 300, "../../etc", "{0!r}%s", "é\u202e")
_INTS = (-(2**63), -2, -1, 0, 1, 2, 3, 7, 64, 2**16, 2**31, 2**40, 2**63 - 1)
_FLOATS = (0.0, -0.0, 1e-45, 3.4e38, float("inf"), float("-inf"), float("nan"))
_OPS = (
    "Relu", "Loop", "If", "Cast", "Reshape", "Conv", "Shape", "Identity", "NonZero", "Split",
    "SequenceEmpty", "Optional", "QuantizeLinear", "Resize", "Dropout", "Rellu", "",
)  # fmt: skip


def odd_file(seed: int) -> bytes:
    """Make the file of a seed; odd seeds change bytes, even ones the structure."""
    rng = random.Random(seed)
    model = rng.choice(_BASES)()
    for _ in range(rng.randint(1, 2)):
        if seed % 2 == 0:
            rng.choice(_CHANGES)(model, rng)
    content = model.SerializeToString()
    return _bytes_changed(content, rng) if seed % 2 else content


def _bytes_changed(content: bytes, rng: random.Random) -> bytes:
    """Flip bytes, cut a piece out, put one in, or double one; weights are most of the bytes."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        at, size = rng.randrange(len(data)), rng.randint(1, 40)
        match rng.randrange(5):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = rng.randbytes(size)
            case 4:
                data[at:at] = data[at : at + size]
    return bytes(data)


def _drop_node(model, rng):
    del model.graph.node[rng.randrange(len(model.graph.node))]


def _double_node(model, rng):
    model.graph.node.append(rng.choice(model.graph.node))


def _shuffle(model, rng):
    nodes = rng.sample(list(model.graph.node), len(model.graph.node))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _other_input(model, rng):
    node = rng.choice([n for n in model.graph.node if n.input])
    names = [name for n in model.graph.node for name in n.output]
    node.input[rng.randrange(len(node.input))] = rng.choice([*names, *_NAMES])


def _fewer_inputs(model, rng):
    node = rng.choice([n for n in model.graph.node if n.input])
    del node.input[rng.randrange(len(node.input)) :]


def _other_output(model, rng):
    node = rng.choice(model.graph.node)
    node.output[0] = rng.choice([*_NAMES, rng.choice(model.graph.node).output[0]])


def _rename_node(model, rng):
    rng.choice(model.graph.node).name = rng.choice(_NAMES)


def _other_op(model, rng):
    rng.choice(model.graph.node).op_type = rng.choice(_OPS)


def _other_domain(model, rng):
    rng.choice(model.graph.node).domain = rng.choice(("com.microsoft", "own", "simam", "ai.onnx"))


def _attribute(model, rng):
    node = rng.choice(model.graph.node)
    name = rng.choice(["axes", "axis", "keepdims", "to", "pads", "group", "e_lambda", "value"])
    value = rng.choice([rng.choice(_INTS), [rng.choice(_INTS)] * 2, rng.choice(_FLOATS), "text"])
    node.attribute.append(helper.make_attribute(name, value))


def _attributes_away(model, rng):
    del rng.choice(model.graph.node).attribute[:]


def _weight(model, rng):
    tensor = rng.choice(model.graph.initializer)
    array = numpy_helper.to_array(tensor).copy()
    fill = rng.choice(_FLOATS if array.dtype.kind == "f" else _INTS[1:-1])
    array.reshape(-1)[: rng.choice([1, array.size])] = fill
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _weight_of_another_shape(model, rng):
    tensor = rng.choice(model.graph.initializer)
    shape = rng.choice([(0,), (1,), (1, 1, 1, 1), (2, 3), (6, 3, 3, 3), ()])
    array = np.ones(shape, numpy_helper.to_array(tensor).dtype)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _weight_of_another_type(model, rng):
    rng.choice(model.graph.initializer).data_type = rng.randrange(27)


def _lying_dims(model, rng):
    rng.choice(model.graph.initializer).dims.append(rng.choice(_INTS))


def _drop_weight(model, rng):
    del model.graph.initializer[rng.randrange(len(model.graph.initializer))]


def _external(model, rng):
    tensor = rng.choice(model.graph.initializer)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=rng.choice([*_NAMES, "theirs.onnx"]))


def _size(model, rng):
    value = rng.choice([*model.graph.input, *model.graph.output])
    dims = value.type.tensor_type.shape.dim
    if dims and rng.random() < 0.7:
        dims[rng.randrange(len(dims))].dim_value = rng.choice(_INTS)
    elif dims and rng.random() < 0.5:
        dims[rng.randrange(len(dims))].dim_param = rng.choice(_NAMES)
    else:
        value.type.tensor_type.ClearField("shape")


def _type(model, rng):
    value = rng.choice([*model.graph.input, *model.graph.output])
    kind = helper.make_tensor_type_proto(rng.randrange(1, 27), ["n", 3, 8, 8])
    makers = (helper.make_sequence_type_proto, helper.make_optional_type_proto, lambda kind: kind)
    value.type.CopyFrom(rng.choice(makers)(kind))


def _inner_output(model, rng):
    name = rng.choice([*(n.output[0] for n in model.graph.node), "x", "w", *_NAMES])
    model.graph.output.append(helper.make_empty_tensor_value_info(name))


def _no_output(model, rng):
    del model.graph.output[:]


def _version(model, rng):
    model.opset_import[0].version = rng.choice([0, 1, 7, 11, 13, 18, 21, 23, 25, 26, 99, 2**40])


def _two_imports(model, rng):
    domain = rng.choice(["", "ai.onnx", "own"])
    model.opset_import.append(helper.make_opsetid(domain, rng.choice([1, 17, 18])))


def _ir_version(model, rng):
    model.ir_version = rng.choice([0, 1, 3, 4, 6, 10, 13, 99])


def _metadata(model, rng):
    for key in ("simam.precision", "simam.simam_sites", "simam.e_lambda", "names"):
        model.metadata_props.add(key=key, value=rng.choice([*_NAMES, "[" * 5000, "NaN", "{}"]))


def _into_a_loop(model, rng):
    """Bound, or with a condition that stays true."""
    looping = others.looping(constant=rng.random() < 0.5)
    loop = next(node for node in looping.graph.node if node.op_type == "Loop")
    loop.input[2] = rng.choice(model.graph.node).output[0]
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    if rng.random() < 0.5:
        loop.input[0] = "turns"
        turns = numpy_helper.from_array(np.array(rng.choice([0, 3, 2**62])), "turns")
        model.graph.initializer.append(turns)
    model.graph.node.append(loop)
    model.graph.output.append(helper.make_empty_tensor_value_info("k"))


def _grows(model, rng):
    """A value that is repeated to a size of its own."""
    node = rng.choice(model.graph.node)
    name, node.output[0] = node.output[0], "grown_from"
    size = rng.choice([[1], [2, 1, 1, 1, 1], [2**20, 2**20, 1, 1, 1, 1], [0], [-1]])
    model.graph.initializer.append(numpy_helper.from_array(np.array(size), "grown_to"))
    model.graph.node.append(helper.make_node("Expand", ["grown_from", "grown_to"], [name]))


_BASES = (
    others.network,
    lambda: others.network(opsets='"" : 13', ir_version=7),
    lambda: others.with_axes_as_inputs(others.network(opsets='"" : 18')),
    others.branching,
    others.ir3,
    lambda: others.baked(2),
    lambda: others.negative(0),
)
_CHANGES = (
    _attribute, _attributes_away, _double_node, _drop_node, _drop_weight, _external,
    _fewer_inputs, _grows, _inner_output, _into_a_loop, _ir_version, _lying_dims, _metadata,
    _no_output, _other_domain, _other_input, _other_op, _other_output, _rename_node, _shuffle,
    _size, _type, _two_imports, _version, _weight, _weight_of_another_shape,
    _weight_of_another_type,
)  # fmt: skip
