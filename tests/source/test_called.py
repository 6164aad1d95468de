"""However a network is called, whatever it returns and in whatever type it was made."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from simam_deploy import InputError, NetworkOptions, UsageError
from simam_deploy.core.specs import TensorSpec
from simam_deploy.graph.prepare import plain
from simam_deploy.graph.types import precision_of
from simam_deploy.runtime.graph_runner import run_graph
from simam_deploy.source import load_subject
from simam_deploy.source.free_inputs import plan_free_inputs
from simam_deploy.source.options import read_input
from simam_deploy.verify.cases import Drawn
from tests.marks import slow
from tests.source import called

PICTURES = ("left:float32:2x3x16x16", "right:float32:2x3x16x16")


@pytest.fixture
def load(tmp_path):
    def load(factory, *inputs, **options):
        made = getattr(called, factory)()
        torch.save(made.state_dict(), tmp_path / "w.pth")
        if inputs:
            options["inputs"] = tuple(map(read_input, inputs))
        else:
            options.setdefault("input_shape", (2, 3, 16, 16))
        options["model"] = f"tests.source.called:{factory}"
        return load_subject(tmp_path / "w.pth", NetworkOptions(**options))

    return load


def ran(subject, shapes=None):
    """Run source and graph on drawn inputs: see to it that they agree, and give one's results."""
    case = Drawn(("normal", "picture"), shapes or subject.shapes[-1])
    with subject.reference() as runner:
        feeds = case.feeds(runner.inputs)
        expected = runner.run(feeds)
    graph = plain(subject.graph().model)
    assert precision_of(graph) == "fp32"
    with run_graph(graph) as runner:
        assert [spec.name for spec in runner.inputs] == list(feeds)
        assert [spec.name for spec in runner.outputs] == list(expected)
        got = runner.run(feeds)
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, rtol=1e-5, atol=1e-6, err_msg=name)
    return {name: torch.from_numpy(array) for name, array in feeds.items()}, expected


@pytest.mark.parametrize("factory", ["Star", "Keyword", "Decorated", *slow(["OnlyKeywords"])])
def test_two_pictures_however_forward_is_written(factory, load):
    """Keys are the outputs' names, and a graph cannot have one twice: left is an input."""
    feeds, got = ran(load(factory, *PICTURES))
    with torch.no_grad():
        expected = called.Pair()(**feeds)
    assert list(got) == ["left_out", "mean", "distance"]
    for name, tensor in zip(got, expected.values(), strict=True):
        np.testing.assert_allclose(got[name], tensor, rtol=1e-6)


def test_inputs_go_by_name_in_any_order_and_the_others_by_position(load):
    x, y = (torch.randn(2, 3, 16, 16) for _ in range(2))
    with torch.no_grad():
        expected = called.Pair()(x, y)["left"].numpy()
    for names, arrays in (
        (("left", "right"), (x, y)),
        (("right", "left"), (y, x)),
        (("a", "b"), (x, y)),
        (("right", "a"), (y, x)),
    ):
        subject = load("Pair", *(f"{name}:float32:2x3x16x16" for name in names))
        feeds = {name: array.numpy() for name, array in zip(names, arrays, strict=True)}
        with subject.reference() as runner:
            np.testing.assert_array_equal(next(iter(runner.run(feeds).values())), expected)


def test_inputs_of_any_type_and_such_as_have_no_batch(load):
    subject = load("Mixed", *called.MIXED)
    assert subject.notes == (
        "input limit has no batch: it is one number",
        "input anchors has no batch: its first size is another",
    )
    assert [shapes[1][0] for shapes in subject.shapes] == [1, 3]
    feeds, got = ran(subject)
    assert {name: t.dtype for name, t in feeds.items()} == {
        "limit": torch.float32,
        "picture": torch.uint8,
        "mask": torch.bool,
        "tokens": torch.int64,
        "anchors": torch.float32,
    }
    assert feeds["picture"].max() > 200
    for name in ("mask", "tokens"):
        assert set(feeds[name].flatten().tolist()) == {0, 1}
    with torch.no_grad():
        y, boxes = called.Mixed()(**feeds)
    np.testing.assert_allclose(got["output0"], y, rtol=1e-6)
    np.testing.assert_allclose(got["output1"], boxes, rtol=1e-6)


def test_free_sides_are_each_inputs_own(load):
    subject = load("Pair", "left:float32:1x3x16x16", "right:float32:1x3x24x8", dynamic="hw")
    shapes = ((1, 3, 16, 16), (1, 3, 24, 8)), ((3, 3, 48, 80), (3, 3, 56, 72))
    assert subject.shapes == shapes
    _, got = ran(subject, ((4, 3, 10, 12), (4, 3, 9, 11)))
    assert got["distance"].shape == (4,)


@pytest.mark.parametrize(
    ("returned", "names", "notes"),
    [
        ("tensor", ["output"], ()),
        ("tuple", ["output0", "output1"], ()),
        ("single", ["output"], ()),
        ("dict", ["logits", "aux_0", "aux_1_x"], ()),
        ("numbers", ["8", "16"], ()),
        (
            "dataclass",
            ["boxes_corners", "boxes_scores", "aux_0"],
            ("loss is a NoneType: no output",),
        ),
        ("namedtuple", ["corners", "scores"], ()),
        ("model output", ["logits"], ()),
        (
            "among others",
            ["output0", "output3_total"],
            ("0 is a NoneType: no output", "2 is a float: no output"),
        ),
        ("returned by torch", ["output0", "output1"], ()),
    ],
)
def test_what_is_returned_names_the_outputs(returned, names, notes, load, monkeypatch):
    wanted = called.RESULTS[returned]
    monkeypatch.setattr(called.Returns, "wanted", staticmethod(wanted))
    subject = load("Returns")
    assert subject.notes == notes
    x = torch.randn(2, 3, 16, 16)
    with subject.reference() as runner, torch.no_grad():
        got = runner.run({"input": x.numpy()})
        first = called.Small()(x)
    assert list(got) == names
    for factor, array in enumerate(got.values(), start=1):
        if returned not in ("among others", "returned by torch"):
            np.testing.assert_allclose(array, factor * first, rtol=1e-6)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (lambda y: None, "returns a NoneType without a tensor"),
        (lambda y: {"a": []}, "returns a dict without a tensor"),
        (lambda y: {("a", 1): y}, r"has the key \('a', 1\): a key is a text or a whole number"),
        (lambda y: {"": y}, "has the key ''"),
        (lambda y: {"a_0": y, "a": [y]}, "two outputs of the model come to be called a_0"),
        (lambda y: {"input": y, "input_out": y}, "come to be called input_out"),
        (
            lambda y: y.reshape(7),
            "the model fails on an input of 2x3x16x16: shape '.7.' is invalid",
        ),
    ],
)
def test_what_cannot_be_an_output_is_one_line(wanted, says, load, monkeypatch):
    monkeypatch.setattr(called.Returns, "wanted", staticmethod(wanted))
    with pytest.raises(InputError, match=says) as raised:
        load("Returns")
    assert "\n" not in str(raised.value)


def test_names_of_ones_own_settle_what_keys_leave_open(load, monkeypatch):
    monkeypatch.setattr(called.Returns, "wanted", staticmethod(lambda y: {"a_0": y, "a": [y]}))
    subject = load("Returns", output_names=("first", "second"))
    with subject.reference() as runner:
        assert [spec.name for spec in runner.outputs] == ["first", "second"]


def test_one_tensor_twice_an_input_and_names_that_layers_have(load):
    feeds, got = ran(load("Twice", "x:float32:2x3x16x16"))
    assert list(got) == ["linear", "again", "x_out", "stem.weight", "sigmoid"]
    np.testing.assert_array_equal(got["x_out"], feeds["x"])
    np.testing.assert_array_equal(got["again"], got["linear"])


@pytest.mark.parametrize(
    ("factory", "made", "takes", "unit"),
    [
        ("half", torch.float16, torch.float16, 2**-11),
        ("part", torch.float16, torch.float32, 2**-24),
        ("double", torch.float64, torch.float64, 2**-24),
        pytest.param("bfloat", torch.bfloat16, torch.bfloat16, 2**-8, marks=pytest.mark.slow),
    ],
)
def test_half_and_double_networks_are_converted_and_equal_to_what_was_made(
    factory, made, takes, unit, load
):
    """A forward that casts to half, and a constant in double, would meet float32 weights."""
    subject = load(factory)
    (note,) = [note for note in subject.notes if "as made" in note]
    name = str(made).removeprefix("torch.")
    assert note.startswith(f"{name} as made, converted to float32: outputs are within ")
    feeds, got = ran(subject)
    assert got["output"].dtype == np.float32
    with torch.no_grad():
        as_made = getattr(called, factory)()(feeds["input"].to(takes)).double()
    off = (torch.from_numpy(got["output"]) - as_made).abs().max() / as_made.abs().max()
    assert off < 4 * unit
    assert float(note.split()[9]) < 4 * unit


def test_a_network_in_float32_keeps_what_it_does_in_double(load, monkeypatch):
    monkeypatch.setattr(called.Returns, "wanted", staticmethod(lambda y: y.double() + 2.0**-40))
    subject = load("Returns")
    assert subject.notes == ()
    with subject.reference() as runner:
        assert runner.run({"input": np.zeros((1, 3, 16, 16), np.float32)})["output"].dtype == float


@pytest.mark.parametrize(
    ("prefix", "counter", "notes"),
    [
        ("", (), ["prefix module. put before"]),
        ("", ("n_averaged",), ["counter n_averaged", "prefix module. put before"]),
        ("module.", (), []),
        ("module.", ("n_averaged",), ["counter n_averaged"]),
    ],
)
def test_an_averaged_factory_takes_weights_as_they_were_and_as_it_has_them(
    prefix, counter, notes, tmp_path
):
    trained = called.Small()
    trained.head.bias.data += 7
    weights = {f"{prefix}{key}": value for key, value in trained.state_dict().items()}
    torch.save({**dict.fromkeys(counter, torch.tensor(3)), **weights}, tmp_path / "w.pth")
    asked = NetworkOptions(model="tests.source.called:averaged", input_shape=(1, 3, 16, 16))
    subject = load_subject(tmp_path / "w.pth", asked)
    assert subject.notes == (*notes, "AveragedModel around the network taken off")
    x = np.zeros((1, 3, 16, 16), np.float32)
    with subject.reference() as runner, torch.no_grad():
        np.testing.assert_array_equal(runner.run({"input": x})["output"], trained(torch.tensor(x)))


@pytest.mark.parametrize("factory", ["Detects", "DetectsByClass"])
def test_an_export_flag_is_set_and_said(factory, load):
    subject = load(factory)
    assert subject.notes == ("export set on detect (Head)",)
    with subject.reference() as runner:
        assert [spec.name for spec in runner.outputs] == ["output"]
    assert called.Head.export is False


@pytest.mark.parametrize(
    ("wrap", "notes"),
    [
        (nn.DataParallel, ["DataParallel"]),
        (lambda net: AveragedModel(nn.DataParallel(net)), ["AveragedModel", "DataParallel"]),
        (lambda net: torch.compile(net, backend="eager"), ["OptimizedModule"]),
    ],
    ids=["parallel", "averaged", "compiled"],
)
def test_a_pickled_wrapper_is_taken_off(wrap, notes, tmp_path):
    torch.save(wrap(called.Star()), tmp_path / "whole.pt")
    inputs = tuple(map(read_input, PICTURES))
    subject = load_subject(tmp_path / "whole.pt", NetworkOptions(inputs=inputs, trust_pickle=True))
    assert subject.facts["arch"] == "module:Star"
    assert subject.notes == tuple(f"{name} around the network taken off" for name in notes)
    x, y = (torch.randn(2, 3, 16, 16) for _ in range(2))
    with subject.reference() as runner, torch.no_grad():
        got = runner.run({"left": x.numpy(), "right": y.numpy()})
        expected = called.Pair()(x, y)
    np.testing.assert_array_equal(got["mean"], expected["mean"])


def test_a_wrapped_layer_is_taken_out_for_a_machine_without_gpus(load):
    subject = load("HoldsParallel")
    assert subject.notes[-1] == "DataParallel around stem taken off"
    x = np.zeros((1, 3, 16, 16), np.float32)
    with subject.reference() as runner, torch.no_grad():
        expected = called.Small()(torch.from_numpy(x))
        np.testing.assert_array_equal(runner.run({"input": x})["output"], expected)


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ("scripted", "the network is TorchScript, which is not traced anew"),
        ("HoldsScript", "attention is TorchScript, which is not traced anew"),
        ("Autocasts", "the network is float32 and its result bfloat16: make it without autocast"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_traced_as_float32_is_one_line(factory, says, load):
    with pytest.raises(InputError, match=says):
        load(factory)


@pytest.mark.parametrize("factory", ["Small", "ByItsCode"])
def test_a_whole_network_is_read_once_without_its_code_and_once_with_it(
    factory, tmp_path, monkeypatch
):
    torch.save(getattr(called, factory)(), tmp_path / "whole.pt")
    load, ran = torch.load, []

    def counted(*args, **options):
        ran.append("pickle_module" not in options)
        return load(*args, **options)

    monkeypatch.setattr(torch, "load", counted)
    options = NetworkOptions(input_shape=(1, 3, 16, 16), trust_pickle=True)
    subject = load_subject(tmp_path / "whole.pt", options)
    assert ran == [False, True]
    assert subject.facts["arch"] == f"module:{factory}"
    assert "entry" not in subject.facts["source"]


class Unpicklable(called.Small):
    """As DistributedDataParallel, which wants its process group to be there."""

    def __setstate__(self, state):
        raise RuntimeError("Default process group has not been initialized")


def test_a_pickle_whose_code_raises_is_one_line(tmp_path):
    torch.save(Unpicklable(), tmp_path / "whole.pt")
    options = NetworkOptions(input_shape=(1, 3, 16, 16), trust_pickle=True)
    with pytest.raises(InputError, match=r"whole\.pt cannot be unpickled: Default process group"):
        load_subject(tmp_path / "whole.pt", options)


@pytest.mark.parametrize(
    ("inputs", "options", "says"),
    [
        (PICTURES[:1], {}, r"Pair takes \(left, right\) .* given left: missing .* 'right'"),
        ((), {}, r"given input: missing a required argument: 'right'"),
        ((*PICTURES, "third:float32:1x3"), {}, "unexpected keyword argument 'third'"),
        ((PICTURES[0], PICTURES[0]), {}, "two inputs are called left"),
        (PICTURES, {"input_shape": (1, 3, 16, 16)}, "leave others out"),
        (PICTURES, {"input_names": ("a",)}, "leave others out"),
        (PICTURES, {"output_names": ("left", "b", "c")}, "an input is called left"),
        (PICTURES, {"dynamic": "all"}, "free dimensions must be"),
        (
            ("left:float32:1x9", "right:float32:1x9"),
            {"dynamic": "hw"},
            "want an input N x C x H x W",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_one_line(inputs, options, says, load):
    with pytest.raises(UsageError, match=says):
        load("Pair", *inputs, **options)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (TensorSpec("left", "float32", ("batch", 3)), "not a shape"),
        (TensorSpec("left", "half", (1, 3)), "not a type"),
        (TensorSpec("le ft", "float32", (1, 3)), "not NAME:DTYPE:SHAPE"),
    ],
)
def test_a_record_is_held_to_what_a_command_line_can_say(spec, says):
    options = NetworkOptions(model="tests.source.called:Pair", inputs=(spec,))
    with pytest.raises(UsageError, match=says):
        plan_free_inputs(options)


def test_a_published_network_has_its_one_input(digits):
    options = NetworkOptions(inputs=(read_input("input:float32:1x3x8x8"),))
    with pytest.raises(UsageError, match="takes one input, which is known"):
        load_subject(digits, options)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("left:float32:1x3x64x64", TensorSpec("left", "float32", (1, 3, 64, 64))),
        ("ids:int64:1,16", TensorSpec("ids", "int64", (1, 16))),
        ("limit:float64", TensorSpec("limit", "float64", ())),
    ],
)
def test_an_input_is_read(text, spec):
    assert read_input(text) == spec


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1x3x64x64", "not NAME:DTYPE:SHAPE"),
        ("a-b:float32:1x3", "not NAME:DTYPE:SHAPE"),
        ("", "not NAME:DTYPE:SHAPE"),
        ("x", "not a type"),
        ("x:complex64:1x3", "not a type, which is one of bool, uint8"),
        ("x:float16:1x3", "takes no float16"),
        ("x:float32:", "not a shape"),
        ("x:float32:0x3", "not a shape"),
        ("x:float32:Nx3", "not a shape"),
    ],
)
def test_what_is_no_input_is_said(text, says):
    with pytest.raises(ValueError, match=says):
        read_input(text)
