"""What is read from plans, and what is said of them."""

import json

import onnx_ir as ir
import pytest

from bench.rtx_plan import count_launches
from simam_deploy.engine.options import EngineOptions
from simam_deploy.engine.plan.audit import GraphFacts, audit, graph_facts
from simam_deploy.engine.plan.plan_facts import Launch, PlanFacts, read_inspector, read_listing
from simam_deploy.errors import ValidationError
from simam_deploy.pipeline.build import build
from tests.engine.conftest import write_onnx


def product(precision, origin="", reads=(), writes=()):
    return Launch("product", precision, origin, tuple(reads), tuple(writes))


def plan(*launches):
    return PlanFacts("a test", launches)


GRAPH = GraphFacts("fp16", {"fp16": 2}, {"s": frozenset({"s/Mul", "s/Sigmoid"})})


def test_a_plan_as_asked():
    site = Launch("other", None, "[ONNX Layer: s/Mul][ONNX Layer: s/Sigmoid]", ("a",), ("b",))
    report = audit("fp16", GRAPH, plan(product("fp16"), site, product("fp16")), plugin=False)
    assert (report.built, report.launches, report.fused) == ({"fp16": 2}, 3, 1)
    assert report.findings == ()


@pytest.mark.parametrize(
    ("launches", "plugin", "says"),
    [
        (
            [product("fp32"), product("fp32")],
            False,
            "fp16 was asked, the plan computes in fp32 (2)",
        ),
        ([product("fp16")], True, "the plugin was asked for, the plan holds none"),
    ],
)
def test_what_differs_is_said(launches, plugin, says):
    assert says in audit("fp16", GRAPH, plan(*launches), plugin).findings


def test_a_graph_of_another_precision_is_said_even_if_the_plan_is_silent():
    report = audit("int8", GRAPH, None, plugin=False)
    assert report.findings == ("int8 was asked, the graph is fp16 (2)",)
    assert (report.built, report.launches, report.fused) == (None, None, None)
    assert report.source.startswith("nothing")


@pytest.mark.parametrize(
    ("precision", "products"),
    [("int8", {"fp32": 3, "int8": 1}), ("int8", {"fp32": 4}), ("fp16", {"fp32": 3, "fp16": 1})],
    ids=["one layer quantised", "weights alone", "one layer in half"],
)
def test_a_graph_that_computes_less_than_half_in_its_precision(precision, products):
    graph = GraphFacts(precision, products, {})
    launches = [product(name) for name, count in products.items() for _ in range(count)]
    assert audit(precision, graph, plan(*launches), plugin=False).findings == ()
    assert audit("fp32", graph, plan(*launches), plugin=False).findings != ()


def test_the_one_quantised_layer_that_a_plan_lost_is_said():
    graph = GraphFacts("int8", {"fp32": 3, "int8": 1}, {})
    findings = audit("int8", graph, plan(*[product("fp32")] * 4), plugin=False).findings
    assert findings == ("int8 was asked, the plan computes in fp32 (4)",)


def test_of_as_many_in_two_precisions_either_may_be_the_main_one():
    """Which one a plan lists first says nothing; a third one in their place is said."""
    graph = GraphFacts("int8", {"fp32": 2, "int8": 2}, {})
    launches = [product(name) for name in ("int8", "int8", "fp32", "fp32")]
    for order in (launches, launches[::-1]):
        assert audit("int8", graph, plan(*order), plugin=False).findings == ()
    other = [product("int8"), *[product("fp16")] * 3]
    assert audit("int8", graph, plan(*other), plugin=False).findings == (
        "int8 was asked, the plan computes in int8 (1), fp16 (3)",
    )


def test_a_site_in_two_launches_is_not_fused_and_moves_around_it_count():
    launches = [
        Launch("move", None, "", ("w",), ("x",)),
        Launch("other", None, "[ONNX Layer: s/Mul]", ("x",), ("t",)),
        Launch("other", None, "[ONNX Layer: SimAM/Sigmoid | s (SimAM)]", ("t",), ("y",)),
        Launch("move", None, "", ("y",), ("z",)),
        Launch("move", None, "", ("z",), ("q",)),
    ]
    report = audit("fp16", GRAPH, plan(*launches), plugin=False)
    assert (report.fused, report.reformats) == (0, 2)


def test_a_site_that_is_nowhere_is_unknown():
    report = audit("fp16", GRAPH, plan(product("fp16", "[ONNX Layer: r/Mul]")), plugin=False)
    assert (report.fused, report.reformats) == (None, None)


def test_the_graphs_products():
    model = ir.from_onnx_text(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[1,4,8,8] x) => (float[1,4,8,8] y)
        <float[4,4,1,1] w = {1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1}, float s = {1}, int8 z = {0}>
        { a = Conv(x, w) q = QuantizeLinear(a, s, z) d = DequantizeLinear(q, s, z)
          y = Conv(d, w) }"""
    )
    assert graph_facts(model).products == {"fp32": 1, "int8": 1}


def test_the_inspectors_words():
    tensor = {"Name": "x", "Format/Datatype": "Channel major FP16 format where channel % 8 == 0"}
    layers = [
        {"Name": "c", "LayerType": "CaskConvolution", "Inputs": [tensor], "Outputs": [tensor]},
        {"Name": "r", "LayerType": "Reformat", "Inputs": [tensor], "Outputs": [tensor]},
        {"Name": "p", "LayerType": "PluginV3", "Inputs": [], "Outputs": [],
         "Metadata": "[ONNX Layer: s]"},
    ]  # fmt: skip
    facts = read_inspector(json.dumps({"Layers": layers}))
    assert [n.kind for n in facts.launches] == ["product", "move", "plugin"]
    assert facts.launches[0].precision == "fp16"
    assert "[ONNX Layer: s]" in facts.launches[2].origin


@pytest.mark.parametrize("text", ["{}", '{"Layers": []}', '{"Layers": ["c"]}'])
def test_an_inspector_without_details_tells_nothing(text):
    assert read_inspector(text) is None


def test_a_plan_without_a_listing_tells_nothing():
    assert read_listing(b"ftrt" + bytes(1000)) is None


LISTING = """
  accelerators={sm89 }
  tensor={ offset=0 name="x" type=float strides={ 1 } }
  function={ name=__myl_Move fqn=__myl_Move_0x1 input_args={ "x" } output_args={ "a" } stream=0 }
  corrltn={ name="c" output={"b" } input={"a" } stream=0 kernel=STUB layers="[ONNX Layer: c]" }
  maxpool={ name="p" output={"d" } input={"b" } stream=0 kernel=STUB layers="[ONNX Layer: p]" }
  runtime_function={ name=__myl_Inorm input_args={ "d" } output_args={ "e" } stream=0 layers="" }
  runtime_fusion={ name=__myl_FcAdd input_args={ "e" } output_args={ "y" } stream=0 }
  memset={ name="__mye1_hc_init" output={"__s^8i64" } src="8i64" stream=0 }
  copy={ name="copy_d2s___mye2" output={"n" } input={"x" } stream=0 speculate={ }}
  mul={ name="__mye3" output={"m" } input={"n" "__s^8i64" } stream=0 layers="" }
  assert={ name=__mye4_check input={"m" } stream=0 msg="out of bounds" }
  {more}
  accelerators={sm89 }
  fully_connected={ name="f" output={"u" } input={"e" } stream=0 layers="[ONNX Layer: f]" }
  add={ name="g" output={"y" } input={"u" } stream=0 layers="[ONNX Layer: f]" }
"""


MORE = 'quux={ name="q" output={"y" } input={"x" } stream=0 layers="" }'


def listed(more=""):
    return read_listing(LISTING.replace("{more}", more).encode())


def test_what_a_listing_launches_is_counted_whatever_its_kind():
    """A pool or InstanceNormalization is a kernel; shapes and bodies of kernels are none."""
    facts = listed()
    assert [n.name for n in facts.launches] == [
        "__myl_Move",
        "c",
        "p",
        "__myl_Inorm",
        "__myl_FcAdd",
    ]
    assert [n.kind for n in facts.launches] == ["move", "product", "other", "other", "other"]
    assert facts.unknown == ()


def test_a_convolution_with_silu_in_its_kernel_is_a_product():
    """So a detector's plan has its float convolutions counted beside those in eight bits."""
    kernel = 'function={ name=__myl_CorrSilu input_args={ "x" "w" } output_args={ "z" } }'
    facts = listed(kernel)
    assert [(n.kind, n.precision) for n in facts.launches if n.name == "__myl_CorrSilu"] == [
        ("product", "fp32")
    ]


def test_a_word_of_the_hosts_is_a_launch_where_it_computes_a_layer():
    facts = listed('mul={ name="k" output={"y" } input={"x" } stream=0 layers="[ONNX Layer: k]" }')
    assert len(facts.launches) == 6


def test_where_a_kind_is_not_known_there_is_no_count():
    """It may be a kernel or not, so that no count is right; the plan is none the worse for it."""
    facts = listed(MORE)
    assert facts.unknown == ("quux",)
    assert (facts.count, listed().count) == (None, 5)
    graph = GraphFacts("fp32", {"fp32": 1}, {})
    report = audit("fp32", graph, facts, plugin=False)
    assert (report.launches, report.findings) == (None, ())
    assert report.source.endswith("with kinds that are not known here: quux")
    with pytest.raises(ValueError, match="unknown kinds: .*quux"):
        count_launches(LISTING.replace("{more}", MORE).encode())


@pytest.mark.parametrize(
    ("region", "unknown"), [("hmem_topdown_1", ()), ("system_hmem", ()), ("topdown_1", ("quux",))]
)
def test_what_writes_on_the_host_alone_is_no_kernel(region, unknown):
    """A CBAM with a free batch casts and reshapes such numbers: its plan had no count."""
    tensor = f'tensor={{ dims={{ 1 }} name="y" offset=0 region="{region}" type=int64 }}'
    facts = listed(f"{MORE}\n  {tensor}")
    assert (facts.unknown, len(facts.launches)) == (unknown, 5)


@pytest.mark.parametrize("lowering", ["wide", "instancenorm"])
def test_every_layer_of_a_real_plan_is_in_a_launch(lowering):
    """Of a ResNet-18 its max pool was not counted, nor were its eight InstanceNormalizations."""
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is missing")
    from bench.engines import plan as built
    from bench.engines import traced
    from simam_deploy.graph.lower import LOWERINGS

    model = traced("resnet18", 1)
    LOWERINGS[lowering](model)
    facts = read_listing(built(model))
    assert facts.unknown == ()
    seen = " ".join(n.origin for n in facts.launches)
    pooled = [n.name for n in model.graph if n.op_type in ("MaxPool", "InstanceNormalization")]
    assert len(pooled) == (9 if lowering == "instancenorm" else 1)
    assert all(name in seen for name in pooled)


def test_a_build_other_than_asked_fails(tmp_path, monkeypatch):
    """Planted: the graph is left in float32 although float16 was asked."""
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is missing")
    from simam_deploy.pipeline import build as steps

    monkeypatch.setattr(steps, "_is_ready", lambda job: True)
    onnx = write_onnx(tmp_path / "m.onnx")
    with pytest.raises(ValidationError, match=r"fp16 was asked, the plan computes in fp32 \(1\)"):
        build(onnx, tmp_path / "m.engine", EngineOptions(backend="rtx", precision="fp16"))
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
