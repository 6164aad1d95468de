"""The command that an engine's manifest gives: it forgets nothing that was asked."""

import dataclasses
import json
import shlex
from pathlib import Path

import pytest

from simam_deploy import EngineOptions, InputError, NetworkOptions, UsageError, build
from simam_deploy.cli.build import parser
from simam_deploy.cli.export import main as export
from simam_deploy.cli.options import read_options
from simam_deploy.engine.flavours.choose import FLAVOURS
from simam_deploy.pipeline import build as pipeline
from simam_deploy.pipeline.job import Job, rebuild_command
from tests.cli.test_options import OTHER
from tests.engine.conftest import write_onnx

RTX = next(flavour for flavour in FLAVOURS.values() if flavour.backend == "rtx")


def read(command):
    """What the command that is said asks for."""
    program, *words = shlex.split(command)
    assert program == "simam-build"
    args = parser().parse_args(words)
    return (
        args.source,
        args.output,
        *(read_options(r, args) for r in (EngineOptions, NetworkOptions)),
    )


def job(engine, network):
    source, target = Path("folder/a net.pth"), Path("folder/m.engine")
    return Job(source, target, engine, network, RTX, None, (), print)


@pytest.mark.parametrize(
    ("record", "name"),
    [(r, f.name) for r in (EngineOptions, NetworkOptions) for f in dataclasses.fields(r)],
)
def test_the_command_says_every_option(record, name):
    asked = {EngineOptions: EngineOptions(backend="rtx"), NetworkOptions: NetworkOptions()}
    asked[record] = dataclasses.replace(asked[record], **{name: OTHER[name]})
    said = read(rebuild_command(job(*asked.values())))
    assert said == ("a net.pth", "m.engine", *asked.values())


def test_the_backend_is_the_one_that_was_taken():
    assert read(rebuild_command(job(EngineOptions(), NetworkOptions())))[2].backend == "rtx"


@pytest.fixture
def exported(monkeypatch):
    """What a build asks of its export, which comes to nothing."""
    asked = []

    def export_onnx(source, file, onnx, network, **_):
        asked.append((onnx, network))
        raise UsageError("no further")

    monkeypatch.setattr(pipeline, "export_onnx", export_onnx)
    return asked


@pytest.fixture
def names(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("cat\ndog\n")
    return file


def test_a_build_hands_on_all_that_its_export_knows(exported, digits, names, tmp_path):
    engine = EngineOptions(
        backend="rtx", precision="int8", keep_io=False, calibration_data=tmp_path,
        calibration_samples=9, labels=names, opset=20, cache=False,
    )  # fmt: skip
    network = NetworkOptions(input_names=("image",), output_names=("scores",), e_lambda=0.5)
    with pytest.raises(UsageError, match="no further"):
        build(digits, tmp_path / "m.engine", engine, network)
    ((onnx, said),) = exported
    shared = dataclasses.asdict(onnx)
    assert (shared.pop("lowering"), shared.pop("simplify")) == ("portable", True)
    assert (shared.pop("tolerance"), shared.pop("keep_failed")) == (None, False)
    assert shared == {name: getattr(engine, name) for name in shared}
    assert said == network


def test_an_onnx_of_another_opset_is_exported_again(exported, digits_onnx, tmp_path):
    with pytest.raises(UsageError, match="no further"):
        build(digits_onnx, tmp_path / "m.engine", EngineOptions(backend="rtx", opset=20))
    assert exported[0][0].opset == 20


@pytest.mark.parametrize(
    ("engine", "network", "says"),
    [
        ({}, {"arch": "resnet18"}, "states its own network"),
        ({}, {"output_names": ("y",)}, "states its own output names"),
        ({"calibration_data": "x"}, {}, "for int8 and fp8 alone"),
    ],
)
def test_what_would_be_left_unsaid_is_refused(engine, network, says, tmp_path):
    """An .onnx that needs no export was built as if nothing had been asked."""
    asked = EngineOptions(backend="rtx", **engine), NetworkOptions(**network)
    with pytest.raises(UsageError, match=says):
        build(write_onnx(tmp_path / "m.onnx"), tmp_path / "m.engine", *asked)


def test_a_ready_onnx_takes_labels_and_they_are_part_of_what_is_kept(names, tmp_path):
    onnx = write_onnx(tmp_path / "m.onnx")
    engine = EngineOptions(backend="rtx", targets=("sm89",), labels=names)
    for classes in (["cat", "dog", "eel", "ape"], ["cow", "dog", "eel", "ape"]):
        names.write_text("\n".join(classes))
        artifact = build(onnx, tmp_path / "m.engine", engine)
        assert not artifact.cached
        assert json.loads(artifact.manifest_path.read_text())["classes"] == classes


def test_a_ready_onnx_has_as_many_names_as_scores(names, tmp_path):
    onnx = write_onnx(tmp_path / "m.onnx")
    engine = EngineOptions(backend="rtx", targets=("sm89",), labels=names)
    with pytest.raises(InputError, match=r"2 classes are named, and there are scores of 4"):
        build(onnx, tmp_path / "m.engine", engine)
    assert not (tmp_path / "m.engine").exists()


def test_a_ready_onnx_takes_a_recipe_that_fits(tmp_path):
    body = "y = Concat <axis = 1> (x, x, x, x)"
    onnx = write_onnx(tmp_path / "m.onnx", body, "float[n,1,8,8] x")
    engine = EngineOptions(backend="rtx", targets=("sm89",))
    network = NetworkOptions(preprocess="resize=8,mean=0.5,std=0.25")
    artifact = build(onnx, tmp_path / "m.engine", engine, network)
    document = json.loads(artifact.manifest_path.read_text())
    facts = document["preprocessing"]
    assert (facts["resize"], facts["mean"], facts["std"]) == (8, [0.5], [0.25])
    assert any(note.startswith("pictures are prepared as asked") for note in artifact.notes)
    assert "--preprocess resize=8,mean=0.5,std=0.25" in document["command"]
    other = NetworkOptions(preprocess="resize=9")
    with pytest.raises(UsageError, match="makes pictures of 9 x 9"):
        build(onnx, tmp_path / "o.engine", engine, other)


def test_a_plan_from_the_cache_is_rebuilt_under_its_own_name(tmp_path):
    onnx = write_onnx(tmp_path / "m.onnx")
    engine = EngineOptions(backend="rtx", targets=("sm89",))
    for name in ("a.engine", "b.engine"):
        artifact = build(onnx, tmp_path / name, engine)
        assert read(json.loads(artifact.manifest_path.read_text())["command"])[1] == name
    assert artifact.cached


def test_an_engine_made_by_an_export_says_what_was_asked(digits, names, tmp_path):
    """`simam-export --format engine` takes options that `simam-build` did not know."""
    digit_names = [f"digit {i}" for i in range(10)]
    names.write_text("\n".join(digit_names))
    said = ["--opset", "20", "--input-names", "image", "--output-names", "scores"]
    said += ["--labels", str(names), "--calibration-samples", "7"]
    target = tmp_path / "m.engine"
    assert export([str(digits), "-o", str(target), "--format", "engine", *said, "-q"]) == 0
    document = json.loads((tmp_path / "m.engine.json").read_text())
    _, _, engine, network = read(document["command"])
    assert (engine.opset, engine.labels, engine.calibration_samples) == (20, names, 7)
    assert (network.input_names, network.output_names) == (("image",), ("scores",))
    assert document["classes"] == digit_names
