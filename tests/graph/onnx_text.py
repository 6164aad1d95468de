"""Small graphs for the tests: written in ONNX's text form, run in ONNX Runtime."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort


def model(text: str, **weights: np.ndarray) -> ir.Model:
    """Parse a graph; `weights` become initializers of these names."""
    proto = onnx.parser.parse_model(text)
    for name, array in weights.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return ir.from_proto(proto)


def simam_model(shape: str, opset: int = 18, e_lambda: float = 0.1) -> ir.Model:
    """One SimAM between an Identity and the output; `shape` as in "2,3,5,7" or "n,3,h,w"."""
    graph = model(
        f"""<ir_version: 8, opset_import: ["" : {opset}, "simam" : 1]>
        g (float[{shape}] x) => (float[{shape}] y) {{
            a = Identity(x)
            [site] y = simam.SimAM<e_lambda = {e_lambda}>(a)
        }}"""
    )
    (node,) = [n for n in graph.graph if n.domain == "simam"]
    node.inputs[0].shape = graph.graph.inputs[0].shape
    node.inputs[0].type = node.outputs[0].type = graph.graph.inputs[0].type
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
