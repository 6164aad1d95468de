"""ONNX graphs around two SimAM as somebody else's tool may write them: valid, and odd."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

HEAD = "p = GlobalAveragePool(z) r = Flatten(p) y = Gemm<transB = 1>(r, fw, fb)"
SIGNATURE = "(float[n,3,8,8] x) => (float[n,5] y)"


def network(
    head: str = HEAD,
    signature: str = SIGNATURE,
    *,
    reads: str = "x",
    front: str = "",
    opsets: str = '"" : 17',
    ir_version: int = 8,
    functions: str = "",
) -> onnx.ModelProto:
    """Conv, SimAM, Conv, SimAM, then `head`, which makes y of z; `front` may make what is read."""
    model = parser.parse_model(
        f"""<ir_version: {ir_version}, opset_import: [{opsets}]>
        theirs {signature} <int64[2] axes = {{2, 3}}> {{
            {front}
            a = Conv<pads = [1,1,1,1]>({reads}, w, b)
            {simam("a", "c")}
            t = Conv<pads = [1,1,1,1]>(c, w2, b2)
            {simam("t", "z")}
            {head}
        }}
        {functions}"""
    )
    for name, array in weights().items():
        if any(name in node.input for node in model.graph.node):
            model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


def simam(x: str, y: str) -> str:
    """Write the published ops for a plane of 8x8, lambda 1e-4."""
    at = f"{y}_"
    return f"""
        {at}m = ReduceMean<axes = [2, 3], keepdims = 1>({x})
        {at}d = Sub({x}, {at}m)
        {at}q = Mul({at}d, {at}d)
        {at}s = ReduceSum<keepdims = 1>({at}q, axes)
        {at}v = Div({at}s, n63)
        {at}e = Add({at}v, lam)
        {at}f = Mul({at}e, four)
        {at}g = Div({at}q, {at}f)
        {at}h = Add({at}g, half)
        {at}i = Sigmoid({at}h)
        {y} = Mul({x}, {at}i)"""


def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = {"w": (6, 3, 3, 3), "b": (6,), "w2": (6, 6, 3, 3), "b2": (6,), "fw": (5, 6), "fb": (5,)}
    drawn = {n: (0.3 * rng.standard_normal(s)).astype(np.float32) for n, s in sizes.items()}
    scalars = {"n63": 63, "lam": 1e-4, "four": 4, "half": 0.5}
    return {**drawn, **{name: np.float32(value) for name, value in scalars.items()}}


def with_axes_as_attributes(model: onnx.ModelProto) -> onnx.ModelProto:
    """As opset 12 and older have ReduceSum."""
    for node in model.graph.node:
        if node.op_type == "ReduceSum":
            del node.input[1]
            node.attribute.append(helper.make_attribute("axes", [2, 3]))
    return model


def with_axes_as_inputs(model: onnx.ModelProto) -> onnx.ModelProto:
    """As opset 18 and newer have ReduceMean."""
    for node in model.graph.node:
        if node.op_type == "ReduceMean":
            del node.attribute[0]
            node.input.append("axes")
    return model


def branching(backwards: bool = False) -> onnx.ModelProto:
    """An If whose branches read what is outside; the last node first, there too, if asked."""
    step = -1 if backwards else 1
    model = network(HEAD.replace("y =", "y0 =") + " sum = ReduceSum<keepdims = 0>(y0)")
    branches = {}
    for name, op in (("then_branch", "Add"), ("else_branch", "Sub")):
        value = helper.make_tensor_value_info(f"{op}_y", TensorProto.FLOAT, None)
        nodes = [(op, ["y0", "fb"], [f"{op}_a"]), ("Relu", [f"{op}_a"], [f"{op}_y"])]
        made = [helper.make_node(*node) for node in nodes[::step]]
        branches[name] = helper.make_graph(made, op, [], [value])
    model.graph.node.append(helper.make_node("Cast", ["sum"], ["yes"], to=TensorProto.BOOL))
    model.graph.node.append(helper.make_node("If", ["yes"], ["y"], **branches))
    nodes = list(model.graph.node)[::step]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def ir3() -> onnx.ModelProto:
    """Initializers are inputs too, as they had to be."""
    model = with_axes_as_attributes(network(opsets='"" : 11', ir_version=3))
    for tensor in model.graph.initializer:
        value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        model.graph.input.append(value)
    return model


def negative(*axes: int) -> onnx.ModelProto:
    """Free sizes written as -1."""
    model = network()
    for axis in axes:
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = -1
    if 0 in axes:
        model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = -1
    return model


def baked(batch: int) -> onnx.ModelProto:
    """A batch that is free by name, and written into a Reshape."""
    model = network(HEAD.replace("Flatten(p)", "Reshape(p, to)"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([batch, 6]), "to"))
    return model


def broadcast(batch: int) -> onnx.ModelProto:
    """A batch that is free by name, and written into what is added: 1 runs as well."""
    model = network(HEAD.replace("y =", "y0 =") + " y = Add(y0, rows)")
    model.graph.initializer.append(numpy_helper.from_array(np.ones((batch, 5), np.float32), "rows"))
    return model


def looping(constant: bool = False) -> onnx.ModelProto:
    """A Loop whose condition stays true, over what was computed or over a constant."""
    model = network(HEAD.replace("y =", "y0 ="))
    body = helper.make_graph(
        [helper.make_node("Identity", [f"{n}_in"], [f"{n}_out"]) for n in ("go", "v")],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v_in", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v_out", TensorProto.FLOAT, None),
        ],
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    start = "fb" if constant else "y0"
    model.graph.node.append(
        helper.make_node("Loop", ["", "yes", start], ["k"], name="/spin", body=body)
    )
    model.graph.node.append(helper.make_node("Add", ["y0", "k"], ["y"]))
    return model


def giving(kind: onnx.TypeProto, *node: object, opsets: str = '"" : 17', **more) -> onnx.ModelProto:
    """A second output `k` of some type, by a node."""
    model = network(opsets=opsets)
    model.graph.node.append(helper.make_node(*node, ["k"], **more))
    model.graph.output.append(helper.make_value_info("k", kind))
    return model


def taking(kind: onnx.TypeProto, front: str = "", reads: str = "x") -> onnx.ModelProto:
    """The input of another type than a tensor."""
    model = with_axes_as_inputs(network(front=front, reads=reads, opsets='"" : 18'))
    model.graph.input[0].type.CopyFrom(kind)
    return model


TENSOR = helper.make_tensor_type_proto(TensorProto.FLOAT, ["n", 3, 8, 8])
SCORES = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
MAP = helper.make_map_type_proto(
    TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
)
