"""Sizes that a user leaves free in a shape: one thing with free dimensions asked for by word."""

import onnx
import pytest

from simam_deploy import NetworkOptions, UsageError
from simam_deploy.cli.export import main
from simam_deploy.core.options import read_open_shape
from simam_deploy.source import load_subject
from simam_deploy.source.left_free import filled, with_dynamic
from tests.source import others

SHAPE = (1, 3, 224, 224)


@pytest.mark.parametrize(
    "text",
    ["-1x3x-1x-1", "0x3x0x0", "?x3x?x?", "Nx3xHxW", "batch,3,height,width", "-1,3,-1,-1"],
)
def test_a_free_size_is_said_in_many_ways(text):
    assert read_open_shape(text) == (-1, 3, -1, -1)


@pytest.mark.parametrize("text", ["", "-2x3", "1x3x", "1x3.5", "3 x 4", "1x3x2Z4", "9" * 10, "-"])
def test_what_is_no_shape_is_none(text):
    with pytest.raises(ValueError, match="not a shape like"):
        read_open_shape(text)


@pytest.mark.parametrize(
    ("shape", "said", "dynamic"),
    [
        ((1, 3, 8, 8), None, None),
        ((-1, 3, 8, 8), None, None),
        ((0, 3, 8, 8), "batch", "batch"),
        ((-1, 3, 0, -1), None, "hw"),
        ((3, -1, -1), "hw", "hw"),
    ],
)
def test_what_is_left_free_is_a_word_for_it(shape, said, dynamic):
    options = with_dynamic(NetworkOptions(input_shape=shape, dynamic=said))
    assert options == NetworkOptions(input_shape=shape, dynamic=dynamic)


@pytest.mark.parametrize(("shape", "said"), [((-1, 3, 8, 8), "none"), ((1, 3, -1, 8), "batch")])
def test_a_word_for_less_than_is_left_free_is_refused(shape, said):
    with pytest.raises(UsageError, match=f"leaves more free than {said}"):
        with_dynamic(NetworkOptions(input_shape=shape, dynamic=said))


def test_what_is_left_free_is_filled_in_with_the_batch_or_without():
    assert filled((-1, 3, 0, 64), SHAPE) == (1, 3, 224, 64)
    assert filled((3, -1, 64), SHAPE) == (3, 224, 64)


@pytest.mark.parametrize(
    ("shape", "places"), [((1, -1, 8, 8), "1 and 3 and 4"), ((0, 8, 8), "2 and 3")]
)
def test_channels_cannot_be_left_free(shape, places):
    with pytest.raises(UsageError, match=f"only those in place {places} can"):
        filled(shape, SHAPE)


def test_the_command_line_takes_it_and_the_graph_has_it(digits, tmp_path):
    """A word that begins with a minus is the option's value, joined to it or not."""
    file = tmp_path / "m.onnx"
    words = [str(digits), "-o", str(file), "-q"]
    assert main([*words, "--input-shape", "-1x3x-1x-1"]) == 0
    (value,) = onnx.load(file).graph.input
    dims = [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
    assert dims == ["batch", 3, "height", "width"]


def test_a_published_network_takes_its_own_size_there(digits):
    free = load_subject(digits, NetworkOptions(input_shape=(-1, 3, -1, -1)))
    assert free.shapes == load_subject(digits, NetworkOptions(dynamic="hw")).shapes


@pytest.mark.parametrize("shape", [(-1, 3, 8, 8), (0, 3, 8, 8)])
def test_an_onnx_file_takes_what_it_leaves_free_itself(shape, tmp_path):
    file = tmp_path / "theirs.onnx"
    file.write_bytes(others.negative(0).SerializeToString())
    subject = load_subject(file, NetworkOptions(input_shape=shape))
    assert [shapes[0] for shapes in subject.shapes] == [(1, 3, 8, 8), (3, 3, 8, 8)]
    with pytest.raises(UsageError, match="does not fit input x"):
        load_subject(file, NetworkOptions(input_shape=(1, 3, -1, 8)))
