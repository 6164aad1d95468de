"""Clean files of our own networks, each made once for a folder."""

import functools
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from simam_deploy import NetworkOptions, OnnxOptions, export_onnx
from tests.nets import networks
from tests.nets.weights import SIZE, shapes, weights

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
SAMPLES = 64


def network_options(name: str, size: int = SIZE, dynamic: str | None = None) -> NetworkOptions:
    """Name a network of ours as a user names theirs."""
    place = f"{networks.__file__}:{name}"
    return NetworkOptions(model=place, input_shape=(1, 3, size, size), dynamic=dynamic)


@functools.cache
def samples(folder: Path) -> Path:
    """Write pictures to calibrate on."""
    path = folder / "samples.npz"
    np.savez(path, images=shapes(SAMPLES, seed=10_000)[0])
    return path


@functools.cache
def clean(folder: Path, name: str, precision: str = "fp32", kind: str = "trained") -> Path:
    """Export a network: in float32 from its weights, else from its float32 file."""
    if precision == "fp32":
        source, network = weights(folder, name, kind), network_options(name)
    else:
        source, network = clean(folder, name, "fp32", kind), None
    calibration = samples(folder) if precision == "int8" else None
    asked = OnnxOptions(precision=precision, calibration_data=calibration)
    return export_onnx(source, folder / f"{name}-{kind}-{precision}.onnx", asked, network).path


def add_nms(separate: Path, file: Path) -> Path:
    """Put a NonMaxSuppression behind a file of `networks.Separate`: its output is (found, 3)."""
    proto = onnx.load(separate)
    for name, value in (("most", np.int64(5)), ("overlap", 0.5), ("least", 0.05)):
        array = np.array([value], np.int64 if name == "most" else np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(array, name))
    boxes, scores = (value.name for value in proto.graph.output)
    inputs = [boxes, scores, "most", "overlap", "least"]
    proto.graph.node.append(helper.make_node("NonMaxSuppression", inputs, ["chosen"]))
    del proto.graph.output[:]
    proto.graph.output.append(
        helper.make_tensor_value_info("chosen", TensorProto.INT64, ["found", 3])
    )
    onnx.checker.check_model(proto)
    onnx.save(proto, file)
    return file
