"""Which layers pay, rule by rule; and in real plans they cost no launch."""

import functools
import importlib.util

import pytest

from simam_deploy.errors import UsageError
from simam_deploy.graph.lower import LOWERINGS
from simam_deploy.precision.int8.asked import UNPAID, choose
from simam_deploy.precision.int8.pairs import insert_pairs
from simam_deploy.precision.int8.paying import paying
from simam_deploy.precision.int8.placement import name_of, place
from tests.graph.onnx_text import model
from tests.precision.int8.networks import weights

CONV = "Conv<pads = [1, 1, 1, 1]>"


def site(value, into):
    """What makes a SimAM's kernel: a reduction, and what is pointwise around it."""
    mean, off, gate = (f"{into}_{part}" for part in ("mean", "off", "gate"))
    return (
        f"{mean} = ReduceMean<axes = [2, 3]>({value}) {off} = Sub({value}, {mean}) "
        f"{gate} = Sigmoid({off}) {into} = Mul({value}, {gate})"
    )


def found(body, folds_add=True):
    """Name what pays behind a first layer and a SimAM of it, s, and before a last one of z."""
    graph = model(
        f"""<ir_version: 8, opset_import: ["" : 13]>
        g (float[n,4,9,9] x) => (float[n,4,9,9] y) {{
            [first] a = {CONV}(x, w1, b) {site("a", "s")}
            {body}
            [last] y = {CONV}(z, w5) }}""",
        **weights(),
    )
    chosen = paying(graph.graph, place(graph).layers, folds_add)
    return {name_of(node): "tensor" if alone else "channel" for node, alone in chosen.items()}


@pytest.mark.parametrize(
    ("body", "pays"),
    [
        pytest.param(f"[two] z = {CONV}(s, w2, b)", {"two": "tensor"}, id="from a SimAM"),
        pytest.param(f"t = Relu(a) [two] z = {CONV}(t, w2)", {}, id="behind a convolution"),
        pytest.param(
            f"t = MaxPool<kernel_shape = [1, 1]>(s) [two] z = {CONV}(t, w2)", {}, id="pooled"
        ),
        pytest.param(
            f"q = Add(s, a) t = Relu(q) [two] c = {CONV}(t, w2) z = Relu(c)",
            {"two": "tensor"},
            id="a SimAM, a skip and Relu; Relu behind",
        ),
        pytest.param(f"[two] c = {CONV}(s, w2) z = Sigmoid(c)", {}, id="Sigmoid behind"),
        pytest.param(f"[two] c = {CONV}(s, w2) h = Sigmoid(c) z = Mul(c, h)", {}, id="SiLU behind"),
        pytest.param(
            f"[two] c = {CONV}(s, w2) t = Add(c, x) z = Relu(t)",
            {"two": "tensor"},
            id="an Add and Relu behind",
        ),
        pytest.param(
            f"[two] c = {CONV}(s, w2) t = Relu(c) z = Add(t, x)", {}, id="Relu, then an Add"
        ),
        pytest.param(
            f"[two] c = {CONV}(s, w2) [three] z = {CONV}(c, w3)",
            {"two": "tensor"},
            id="a chain pays once",
        ),
        pytest.param(
            f"[two] c = {CONV}(s, w2) t = Relu(c) " + site("t", "z"),
            {"two": "channel"},
            id="into a SimAM",
        ),
        pytest.param(
            f"[two] c = {CONV}(s, w2) {site('c', 't')} z = Add(t, c)",
            {"two": "channel"},
            id="into a SimAM and around it",
        ),
        pytest.param(
            f"[two] c = {CONV}(s, w2) {site('c', 't')} [three] z = Conv(c, w3)",
            {},
            id="into a SimAM and a layer",
        ),
    ],
)
def test_rules(body, pays):
    assert found(body) == pays


def test_an_add_is_the_simams_where_its_convolution_has_a_scale_a_channel():
    """As in the first block of a stage: what a SimAM gave, and a layer beside it."""
    inner = f"[main] c = {CONV}(a, w2) " + site("c", "h")
    read = f"t = Add(h, e) [next] z = {CONV}(t, w4)"
    pays = found(f"{inner} [side] e = {CONV}(s, w3) {read}")
    assert pays == {"side": "channel", "next": "tensor"}
    assert found(f"{inner} [side] e = {CONV}(a, w3) {read}") == {}, "a float one takes the Add in"


@pytest.mark.parametrize(
    ("body", "pays"),
    [
        pytest.param(f"[two] c = {CONV}(s, w2) z = Add(c, x)", [], id="an Add behind"),
        pytest.param(
            f"[two] c = {CONV}(s, w2) [side] e = {CONV}(a, w3) t = Add(c, e) z = Relu(t)",
            ["two"],
            id="an Add that a float convolution takes in",
        ),
        pytest.param(
            f"[two] c = {CONV}(s, w2) [side] e = {CONV}(s, w3) z = Add(c, e)", [], id="both in fp8"
        ),
    ],
)
def test_without_an_add_in_its_kernel_as_in_fp8(body, pays):
    assert list(found(body, folds_add=False)) == pays


@functools.cache
def traced_once(name):
    from bench.engines import traced

    return traced(name, 1)


def network(name, lowering):
    graph = traced_once(name).clone()
    LOWERINGS[lowering](graph)
    return graph


@pytest.mark.parametrize("lowering", ["portable", "nopow", "flat", "function", "instancenorm"])
def test_it_does_not_matter_how_simam_is_written(lowering):
    wanted = choose(network("cifar_resnet20", "wide"), "pays")
    assert choose(network("cifar_resnet20", lowering), "pays") == wanted
    assert (len(wanted.left), len(wanted.by_tensor)) == (10, 8)
    assert set(wanted.left.values()) == {UNPAID}


def test_a_network_in_which_nothing_pays():
    with pytest.raises(UsageError, match="none of the 2 layers .* would cost a launch"):
        choose(
            model(
                f"""<ir_version: 8, opset_import: ["" : 18]>
                g (float[n,4,9,9] x) => (float[n,4,9,9] y) {{
                    a = {CONV}(x, w1) c = {CONV}(a, w2) d = {CONV}(c, w3) y = {CONV}(d, w4) }}""",
                **weights(),
            ),
            "pays",
        )


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'",
)
@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("cifar_resnet20", 10),
        pytest.param("resnet18", 10, marks=pytest.mark.slow),
        pytest.param("resnet50", 16, marks=pytest.mark.slow),
        pytest.param("mobilenet_v2", 17, marks=pytest.mark.slow),
    ],
)
def test_in_a_plan_they_cost_nothing(name, layers):
    from rtx_plan import count_launches

    from bench.engines import eight_bit_convolutions, launches, plan

    graph = network(name, "wide")
    choice = choose(graph, "pays")
    placement = place(graph, choice)
    assert len(placement.layers) == layers
    before = launches(graph)
    insert_pairs(graph.graph, placement, {t.name: 4.0 for t in placement.tensors})
    built = plan(graph)
    assert count_launches(built) <= before
    assert eight_bit_convolutions(built) == layers


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="TensorRT-RTX is missing: pip install 'simam-deploy[rtx]'",
)
def test_one_layer_more_costs_a_launch():
    from bench.engines import launches

    graph = network("cifar_resnet20", "wide")
    choice = choose(graph, "pays")
    before = launches(graph)
    more = next(iter(choice.left))
    left = {name: reason for name, reason in choice.left.items() if name != more}
    placement = place(graph, type(choice)(left, choice.by_tensor | {more}))
    insert_pairs(graph.graph, placement, {t.name: 4.0 for t in placement.tensors})
    assert launches(graph) > before


def test_a_long_chain_and_many_ways_through_it_are_gone_through_once():
    """2^2000 ways lead from the layer to the SimAM, by 2000 steps."""
    steps = [f"c{i + 1} = Add(c{i}, c{i})" for i in range(2000)]
    body = f"[two] c0 = {CONV}(s, w2) {' '.join(steps)} {site('c2000', 'z')}"
    assert found(body) == {"two": "channel"}
