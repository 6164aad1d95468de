"""A manifest may say anything: the model is refused in one line, or serves."""

import asyncio
import io
import json

import orjson
import pytest
from PIL import Image

from simam_deploy.core.facts import FACTS
from simam_deploy.core.manifest import manifest_path, write_manifest
from simam_deploy.errors import SimamError
from simam_deploy.serve.describe import facts_document
from simam_deploy.serve.models.decoders import Decoders
from simam_deploy.serve.models.model import load_model
from simam_deploy.serve.models.pictures import inputs_of, read_picture
from simam_deploy.serve.protocol.refusals import Refusal
from simam_deploy.serve.settings import Settings
from tests.core.wrong import WRONG
from tests.serve import graphs


def picture():
    file = io.BytesIO()
    Image.new("RGB", (5, 3)).save(file, "PNG")
    return file.getvalue()


def load_and_ask(path):
    """Do all that a server does with a manifest; gives what is wrong with it, if anything."""
    try:
        model = load_model("m", path, "1", Settings())
    except SimamError as error:
        return str(error)
    try:
        orjson.dumps(facts_document(model))
        decoders = Decoders()
        asyncio.run(read_picture(decoders, picture(), inputs_of(model)))
        asyncio.run(decoders.close())
    except Refusal as refusal:
        return str(refusal)
    finally:
        model.close()
    return ""


@pytest.fixture
def model(tmp_path):
    """Takes maps of one channel, whose height and width are the manifest's to say."""
    path = graphs.free_size(tmp_path)
    write_manifest(path, [path], {})
    return path


def edit(path, **changes):
    manifest_path(path).write_text(
        json.dumps({**json.loads(manifest_path(path).read_text()), **changes})
    )


@pytest.mark.parametrize("key", FACTS)
def test_no_fact_is_a_traceback(key, model):
    for value in WRONG:
        edit(model, **{key: value})
        assert "\n" not in load_and_ask(model)


PREPROCESSING = {"kind": "image", "resize": 8, "scale": 1, "mean": [0], "std": [1]}


def test_a_picture_that_is_prepared_as_stated(model):
    edit(model, preprocessing=PREPROCESSING)
    assert load_and_ask(model) == ""


@pytest.mark.parametrize(
    "change",
    [
        {"crop": 9},
        {"resize": [8, 8]},
        {"keep_ratio": True},
        {"keep_ratio": True, "resize": [8, 8]},
        {"mean": []},
        {"mean": [], "std": []},
        {"mean": [0, 0], "std": [1, 1]},
        {"std": [0]},
        {"scale": 1e308},
        {"resize": None},
        {"keep_ratio": True, "pad_divisor": 5},
        {"keep_ratio": True, "pad_divisor": 4096, "resize": 4096},
        {"size_input": "nobody"},
        {"size_input": "nobody", "keep_ratio": True, "pad": "centre"},
    ],
    ids=str,
)
def test_steps_that_contradict_each_other(change, model):
    edit(model, preprocessing={**PREPROCESSING, **change})
    assert "\n" not in load_and_ask(model)


def test_over_http(tmp_path):
    from tests.serve.running import serving

    path = graphs.free_size(tmp_path)
    write_manifest(path, [path], {"preprocessing": {**PREPROCESSING, "resize": 1, "crop": 8}})
    with serving({"m": path}) as running:
        assert running.request("GET", "/v2/models/m")[1]["parameters"]["takes_pictures"] is False
        edit(path, simam_sites=5)
        status, said, _ = running.request("POST", "/v2/repository/models/m/load")
        assert status == 400
        assert "its 'simam_sites' is not a list of SimAM sites" in said["error"]
