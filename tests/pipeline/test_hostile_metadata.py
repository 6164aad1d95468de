"""An .onnx may be a stranger's, and say anything of itself."""

import json

import numpy as np
import onnx
import pytest

from simam_deploy import export_onnx
from simam_deploy.cli.export import main
from simam_deploy.cli.inspect import main as inspect
from simam_deploy.core.facts import FACTS
from simam_deploy.engine.build.prepare import recognise_graph, write_graph
from simam_deploy.engine.profiles import default_profile
from simam_deploy.graph.file.interface import interface
from simam_deploy.graph.file.read import read_model
from simam_deploy.graph.file.write import append_metadata, write_model
from simam_deploy.graph.lower.portable import lower_portable
from tests.core.wrong import WRONG, wrong_for
from tests.graph.onnx_text import simam_model
from tests.marks import slow


def small(folder):
    model = simam_model("n,3,h,w")
    lower_portable(model)
    folder.mkdir(exist_ok=True)
    write_model(model, folder / "theirs.onnx")
    return folder / "theirs.onnx"


def texts():
    return [*map(json.dumps, WRONG), "{", "NaN", "[" * 100_000]


@pytest.mark.parametrize("keys", [list(FACTS), *slow([key] for key in FACTS)], ids=len)
def test_inspecting_and_preparing(keys, tmp_path, capsys):
    """All facts wrong alike, and one by one, lest one that is refused hides another."""
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 8, 8), np.float32))
    for text in texts():
        path = small(tmp_path)
        append_metadata(path, {f"simam.{key}": text for key in keys})
        facts = write_graph(recognise_graph(path), tmp_path / "graph.onnx", "wide")
        json.dumps(facts, indent=2, allow_nan=False)
        default_profile(interface(read_model(tmp_path / "graph.onnx"))[0], facts)
        assert inspect([str(path)]) == 0
    data = ["--precision", "fp16", "--data", str(tmp_path / "x.npy")]
    assert inspect([str(path), *data]) == 0


def test_exporting_what_says_nonsense_of_itself(tmp_path):
    """Every fact of a wrong type at once: none is handed on."""
    path = small(tmp_path / "in")
    append_metadata(path, {f"simam.{key}": json.dumps(next(wrong_for(key))) for key in FACTS})
    artifact = export_onnx(path, tmp_path / "m.onnx")
    manifest = json.loads(artifact.manifest_path.read_text())
    assert not manifest.keys() & {"classes", "preprocessing"}
    keys = [p.key for p in onnx.load(artifact.path).metadata_props]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("preprocessing", ["[1]", "{", '{"kind": "image", "mean": 5}'])
def test_pictures_for_what_says_nonsense_of_its_input(preprocessing, tmp_path, capsys):
    from PIL import Image

    path = small(tmp_path / "in")
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "pictures" / "a.png")
    append_metadata(path, {"simam.preprocessing": preprocessing})
    data = ["--precision", "int8", "--calibration-data", str(tmp_path / "pictures")]
    assert main([str(path), "-o", str(tmp_path / "m.onnx"), *data, "-q"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
