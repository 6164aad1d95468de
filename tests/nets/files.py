"""Clean files of our own networks, each made once for a folder."""

import functools
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from simam_deploy import NetworkOptions, OnnxOptions, export_onnx
from simam_deploy.core.specs import QUANTISED
from tests.nets import networks
from tests.nets.weights import SIZE, shapes, weights

PRECISIONS = ("fp32", "fp16", "bf16", "int8", "fp8")
SAMPLES = 64
LABELLED = "Labelled"


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
    """Export a network: in float32 from its weights, else from its float32 file.

    `LABELLED` is no network of torch: its float32 file is an exported one with an ArgMax behind it.
    """
    if (name, precision) == (LABELLED, "fp32"):
        separate = clean(folder, "TwoOutputs", "fp32", kind)
        return add_labels(separate, folder / f"{name}-{kind}.onnx")
    if precision == "fp32":
        source, network = weights(folder, name, kind), network_options(name)
    else:
        source, network = clean(folder, name, "fp32", kind), None
    calibration = samples(folder) if precision in QUANTISED else None
    asked = OnnxOptions(precision=precision, calibration_data=calibration)
    return export_onnx(source, folder / f"{name}-{kind}-{precision}.onnx", asked, network).path


def add_labels(separate: Path, file: Path, twice: bool = False, last: int = 0) -> Path:
    """Put an ArgMax behind a file of boxes and scores: a third output, (N, cells).

    Args:
        separate: The file.
        file: Where to.
        twice: Whether every class is there twice, so that all bests are ties.
        last: Whether ties go to the last.
    """
    proto = onnx.load(separate)
    scores = proto.graph.output[1].name
    joined = [scores, scores] if twice else [scores]
    how = {"axis": 1, "keepdims": 0, "select_last_index": last}
    proto.graph.node.append(helper.make_node("Concat", joined, ["joined"], axis=1))
    proto.graph.node.append(helper.make_node("ArgMax", ["joined"], ["labels"], **how))
    return _with_labels(proto, file)


def add_best(separate: Path, file: Path) -> Path:
    """Put a TopK behind a file of boxes and scores: a third output, (N, 8), places of scores."""
    proto = onnx.load(separate)
    proto.graph.initializer.append(numpy_helper.from_array(np.array([8]), "most"))
    flat = helper.make_node("Flatten", [proto.graph.output[1].name], ["flat"])
    best = helper.make_node("TopK", ["flat", "most"], ["best", "labels"])
    proto.graph.node.extend([flat, best])
    return _with_labels(proto, file)


def _with_labels(proto: onnx.ModelProto, file: Path) -> Path:
    shape = [proto.graph.output[1].type.tensor_type.shape.dim[0].dim_param, "found"]
    proto.graph.output.append(helper.make_tensor_value_info("labels", TensorProto.INT64, shape))
    onnx.checker.check_model(proto)
    onnx.save(proto, file)
    return file


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
