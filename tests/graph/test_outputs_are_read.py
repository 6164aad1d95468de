"""What a graph gives out is read by somebody, though no node of it is the reader."""

import numpy as np
import pytest

from simam_deploy import inspect_onnx
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.lower.portable import lower_portable
from tests.graph.onnx_text import model


def inspected(folder, outputs):
    """One SimAM with a norm and an activation behind it; the weight k is read by no node."""
    graph = model(
        f"""<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[1,4,9,9] x) => (float[1,4,9,9] y{outputs}) {{
            a = simam.SimAM<e_lambda = 0.1>(x)
            b = BatchNormalization(a, s, o, m, v)
            y = Relu(b)
        }}""",
        k=np.ones(4, np.float32),
        **dict.fromkeys("somv", np.ones(4, np.float32)),
    )
    lower_portable(graph)
    write_model(graph, folder / "m.onnx")
    return inspect_onnx(folder / "m.onnx")


@pytest.mark.parametrize(
    ("outputs", "epilogue"),
    [("", ("BN", "ReLU")), (", float[1,4,9,9] b", ("BN",)), (", float[1,4,9,9] a", ())],
    ids=["the end alone", "the norm too", "SimAM too"],
)
def test_an_epilogue_ends_where_a_map_is_given_out(outputs, epilogue, tmp_path):
    (site,) = inspected(tmp_path, outputs).sites
    assert site.epilogue == epilogue


@pytest.mark.parametrize(("outputs", "unused"), [("", ("k",)), (", float[4] k", ())])
def test_a_weight_that_is_given_out_is_in_use(outputs, unused, tmp_path):
    rules = {found.rule: found.places for found in inspected(tmp_path, outputs).lint}
    assert rules.get("unused-initializer", ()) == unused
