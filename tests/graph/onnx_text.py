"""Small graphs for the tests: written in ONNX's text form, run in ONNX Runtime."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort

from simam_deploy.graph.sites import simam_nodes
from simam_deploy.op import contract


def model(text: str, **weights: np.ndarray) -> ir.Model:
    """Parse a graph; `weights` become initializers of these names."""
    proto = onnx.parser.parse_model(text)
    for name, array in weights.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return ir.from_proto(proto)


def simam_model(
    shape: str, opset: int = 18, e_lambda: float = 0.1, dtype: str = "float"
) -> ir.Model:
    """One SimAM between an Identity and the output; `shape` as in "2,3,5,7" or "n,3,h,w".

    A dtype other than float stands between two Casts, so that x and y are float all the same.
    """
    return _typed(
        model(
            f"""<ir_version: 8, opset_import: ["" : {opset}, "simam" : 1]>
            g (float[{shape}] x) => (float[{shape}] y) {{
                {_into(dtype)}
                [site] b = simam.SimAM<e_lambda = {e_lambda}>(a)
                {_out_of(dtype)}
            }}"""
        ),
        dtype,
    )


def epilogue_model(
    shape: str, residual: bool, activation: str, opset: int = 18, dtype: str = "float"
) -> ir.Model:
    """One fused SimAM of three channels, lambda 0.1, like `simam_model`; the residual is 2 * x."""
    names = list(contract.CLIP_ATTRIBUTES)
    bounds = dict(zip(names, contract.ACTIVATIONS[activation], strict=True))
    graph = model(
        f"""<ir_version: 8, opset_import: ["" : {opset}, "simam" : 1]>
        g (float[{shape}] x) => (float[{shape}] y)
            <float[3] scale = {{0.5, -2, 1}}, float[3] bias = {{0.1, -0.2, 0.3}}>
        {{
            {_into(dtype)}
            r = Add(a, a)
            [site] b = simam.{contract.RESIDUAL_OP_TYPE if residual else contract.EPILOGUE_OP_TYPE}
                <e_lambda = 0.1>(a, scale, bias{", r" if residual else ""})
            {_out_of(dtype)}
        }}"""
    )
    for node in simam_nodes(graph):  # the text form has no way to write the largest float
        node.attributes.update({n: ir.AttrFloat32(n, bounds[n]) for n in names})
    return _typed(graph, dtype)


EPILOGUE = {"scale": (0.5, -2.0, 1.0), "bias": (0.1, -0.2, 0.3), "e_lambda": 0.1}


def _into(dtype: str) -> str:
    return "a = Identity(x)" if dtype == "float" else f"a = Cast<to = {_CODES[dtype]}>(x)"


def _out_of(dtype: str) -> str:
    return "y = Identity(b)" if dtype == "float" else "y = Cast<to = 1>(b)"


_CODES = {"float16": 10, "double": 11, "bfloat16": 16}


def _typed(graph: ir.Model, dtype: str) -> ir.Model:
    """Note shape and dtype of the values around the SimAM, as an exporter does."""
    kind = ir.TensorType(ir.DataType(_CODES.get(dtype, 1)))
    for node in simam_nodes(graph):
        for value in (node.inputs[0], *node.inputs[3:], *node.outputs):
            value.shape, value.type = graph.graph.inputs[0].shape, kind
    return graph


def run(graph: ir.Model, **feeds: np.ndarray) -> list[np.ndarray]:
    proto = ir.to_proto(graph)
    onnx.checker.check_model(proto, full_check=True)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


def ops(graph: ir.Model) -> list[str]:
    return [node.op_type for node in graph.graph]
