import numpy as np
import onnx_ir as ir
import onnxsim
import pytest

from simam_deploy.errors import InputError
from simam_deploy.graph.file.weights import SMALL
from simam_deploy.graph.lower.function import lower_function
from simam_deploy.graph.passes import simplify as module
from simam_deploy.graph.passes.simplify import simplify
from tests.graph.onnx_text import model, ops, run, simam_model

X = np.ones((2, 2000), np.float32)


def redundant() -> ir.Model:
    """Two Identities, a foldable sum of constants, and a weight too large to take part."""
    return model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[n,2000] x) => (float[n,3] y) <float[3] b = {1, 2, 3}, float[3] c = {4, 5, 6}> {
            i = Identity(x)
            j = Identity(i)
            m = MatMul(j, w)
            s = Add(b, c)
            y = Add(m, s)
        }""",
        w=np.arange(6000, dtype=np.float32).reshape(2000, 3),
        unread=np.arange(2000, dtype=np.float32),
    )


def test_folds_constants_and_keeps_weights_and_interface():
    before = run(redundant(), x=X)[0]
    graph = simplify(redundant())
    assert ops(graph) == ["MatMul", "Add"]
    assert [v.name for v in graph.graph.inputs] == ["x"]
    assert "unread" not in graph.graph.initializers
    assert graph.graph.inputs[0].shape[0] == "n"
    np.testing.assert_array_equal(run(graph, x=X)[0], before)


def test_a_mean_in_two_steps_stays_in_two():
    """In one run ONNX Runtime's mean of 512 x 512 equal numbers is off by 7e-4 of itself."""
    graph = model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[1,2,512,512] x) => (float[1,2,1,1] y)
        <int64[1] w = {3}, int64[2] hw = {2, 3}> { m = ReduceMean(x, w) y = ReduceMean(m, hw) }"""
    )
    simplified = simplify(graph)
    assert ops(simplified) == ["ReduceMean", "ReduceMean"]
    (y,) = run(simplified, x=np.full((1, 2, 512, 512), 0.83, np.float32))
    np.testing.assert_allclose(y, np.float32(0.83), rtol=2e-6)


def test_weights_are_not_copied():
    graph = redundant()
    weight = graph.graph.initializers["w"].const_value
    assert simplify(graph).graph.initializers["w"].const_value is weight
    assert weight.size > SMALL


def test_its_own_log_is_left_out():
    assert not simplify(redundant()).metadata_props


def test_functions_are_kept_from_it(monkeypatch):
    seen = []
    monkeypatch.setattr(module, "_onnxsim", lambda proto, skipped: seen.append(proto) or proto)
    graph = simam_model("2,3,5,7")
    lower_function(graph)
    assert list(simplify(graph).functions) == [("simam", "SimAM", "")]
    assert not seen[0].functions


def test_its_failure_is_one_line(monkeypatch):
    def fail(proto, **_):
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(onnxsim, "simplify", fail)
    with pytest.raises(InputError, match=r"failed \(first line\): leave it out$"):
        simplify(redundant())
