"""Networks of several inputs and named outputs, from weights to the wire, by the commands."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
from tritonclient.utils import np_to_triton_dtype

from simam_deploy.cli.export import main as export
from simam_deploy.core.manifest import read_facts
from tests.serve.running import serving
from tests.source import called

ASKED = {
    "Pair": "--input left:float32:1x3x16x16 --input right:float32:1x3x16x16",
    "Mixed": "--input limit:float32 --input picture:uint8:2x16x16x3 --input mask:bool:2x16x16 "
    "--input tokens:int64:2x5 --input anchors:float32:1x4",
}
"""A Siamese network that returns a dict; and one of every type, where not all have a batch."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Export both by the command, and name the files."""
    folder = tmp_path_factory.mktemp("own")
    for factory, words in ASKED.items():
        torch.save(getattr(called, factory)().state_dict(), folder / f"{factory}.pth")
        model = f"{Path(called.__file__)}:{factory}"
        options = ["--model", model, *shlex.split(words), "-q"]
        assert export([str(folder / f"{factory}.pth"), *options]) == 0
    return {factory: folder / f"{factory}.onnx" for factory in ASKED}


@pytest.fixture(scope="module")
def served(sources):
    with serving(sources) as running:
        yield running


def feeds_of(factory, batch):
    rng = np.random.default_rng(batch)
    pictures = (batch, 3, 16, 16)
    if factory == "Pair":
        return {name: rng.standard_normal(pictures, np.float32) for name in ("left", "right")}
    return {
        "limit": np.array(0.5, np.float32),
        "picture": rng.integers(0, 256, (batch, 16, 16, 3), np.uint8),
        "mask": rng.integers(0, 2, (batch, 16, 16)).astype(bool),
        "tokens": rng.integers(0, 5, (batch, 5)),
        "anchors": rng.standard_normal((1, 4), np.float32),
    }


def answered(module, address, name, feeds):
    """Ask a server by the protocol's own client."""
    inputs = []
    for key, array in feeds.items():
        tensor = module.InferInput(key, list(array.shape), np_to_triton_dtype(array.dtype))
        inputs.append(tensor.set_data_from_numpy(array))
    with module.InferenceServerClient(address) as client:
        return client.infer(name, inputs).as_numpy


@pytest.mark.parametrize("factory", ASKED)
def test_a_server_answers_as_the_network_does(factory, served):
    for batch, module, address in ((1, over_http, served.http), (3, over_grpc, served.grpc)):
        feeds = feeds_of(factory, batch)
        got = answered(module, address, factory, feeds)
        with torch.no_grad():
            result = getattr(called, factory)()(**{k: torch.tensor(v) for k, v in feeds.items()})
        if factory == "Pair":
            expected = {"left_out": result["left"], **{k: result[k] for k in ("mean", "distance")}}
        else:
            expected = {f"output{i}": tensor for i, tensor in enumerate(result)}
        for name, tensor in expected.items():
            np.testing.assert_allclose(got(name), tensor, rtol=1e-5, atol=1e-6, err_msg=name)


def test_an_input_goes_by_its_name_not_by_its_place(served):
    left, right = feeds_of("Pair", 4).values()
    together = answered(over_http, served.http, "Pair", {"left": left, "right": right})
    swapped = answered(over_http, served.http, "Pair", {"right": left, "left": right})
    np.testing.assert_array_equal(together("mean"), swapped("left_out"))
    assert np.abs(together("mean") - swapped("mean")).max() > 1e-3


@pytest.mark.parametrize("factory", ASKED)
def test_the_manifest_and_the_server_name_what_there_is(factory, sources, served):
    facts = read_facts(sources[factory])
    assert facts["arch"].endswith(f"called.py:{factory}")
    assert facts["validation"]["passed"]
    assert facts["validation"]["proved"]
    described = served.request("GET", f"/v2/models/{factory}")[1]
    assert [tensor["name"] for tensor in described["inputs"]] == list(feeds_of(factory, 1))
    fixed = [tensor["name"] for tensor in described["inputs"] if -1 not in tensor["shape"]]
    assert fixed == ([] if factory == "Pair" else ["limit", "anchors"])
    assert len(facts["notes"]) == len(fixed)


def test_the_document_of_an_export_lists_all_inputs(sources, tmp_path, capsys):
    assert export([str(sources["Pair"]), "-o", str(tmp_path / "again.onnx"), "--json", "-q"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [tensor["name"] for tensor in document["inputs"]] == ["left", "right"]
