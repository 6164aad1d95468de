"""One description of an option serves the parser, the record and the words of a command line."""

import argparse
import ast
import dataclasses
import re
from pathlib import Path

import pytest

import simam_deploy
from simam_deploy import (
    ComparisonOptions,
    EngineOptions,
    NetworkOptions,
    OnnxOptions,
    SampleOptions,
)
from simam_deploy.cli import bench, build, explain, export, inspect, load, report, serve, validate
from simam_deploy.cli.options import RECORDS, add_options, read_options, worded
from simam_deploy.core.options import flag_of, option, options_of, words
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import UsageError
from simam_deploy.graph.lower import LOWERINGS

PACKAGE = Path(simam_deploy.__file__).parent
COMMANDS = {
    OnnxOptions: (export.parser, ["m.pth"]),
    NetworkOptions: (export.parser, ["m.pth"]),
    EngineOptions: (build.parser, ["m.pth"]),
    ComparisonOptions: (validate.parser, ["m.pth", "m.onnx"]),
    SampleOptions: (validate.parser, ["m.pth", "m.onnx"]),
}
OTHER = {
    "arch": "resnet18",
    "attention": "se",
    "model": "-a folder/net.py:make",
    "e_lambda": 0.1 + 0.2,
    "dynamic": "hw",
    "input_shape": (1, 3, 32, 32),
    "inputs": (
        TensorSpec("left", "float32", (1, 3, 8, 8)),
        TensorSpec("ids", "int64", (1, 5)),
        TensorSpec("limit", "float32", ()),
    ),
    "input_names": ("image",),
    "output_names": ("boxes", "scores"),
    "trust_pickle": True,
    "allow_none": True,
    "preprocess": "yolo,mean=0.1,0.2,0.3",
    "data": Path("pictures"),
    "limit": 7,
    "precision": "int8",
    "keep_io": False,
    "calibration_data": Path("-pictures"),
    "calibration_samples": 9,
    "quantize": "layer1.*,conv?",
    "labels": Path("names of classes.txt"),
    "opset": 20,
    "lowering": "flat",
    "simplify": False,
    "tolerance": 0.1 + 0.2,
    "keep_failed": True,
    "backend": "rtx",
    "targets": ("sm80", "sm89"),
    "min_shapes": ({"x": (1, 3, 8, 8), "a:b": (1, 2)}, {"x": (2, 3, 8, 8)}),
    "opt_shapes": ({"x": (4, 3, 8, 8)},),
    "max_shapes": ({"x": (8, 3, 8, 8)},),
    "workspace": 64,
    "timing_cache": Path("timings"),
    "plugin": "never",
    "tf32": True,
    "cache": False,
    "min_agreement": 0.75,
    "trust_engine": True,
    "find_hazards": True,
    "output": Path("mended.onnx"),
}
"""A value of every field that is not its default."""

FIELDS = [(record, f.name) for record in RECORDS for f in dataclasses.fields(record)]


def parsed(record, said):
    parser, needed = COMMANDS[record]
    return read_options(record, parser().parse_args([*needed, *said]))


def test_the_records_are_all_there_are():
    public = {getattr(simam_deploy, n) for n in simam_deploy.__all__ if n.endswith("Options")}
    assert set(RECORDS) == public == COMMANDS.keys()


@pytest.mark.parametrize(("record", "name"), FIELDS)
def test_every_option_survives_being_said_and_read(record, name):
    asked = dataclasses.replace(record(), **{name: OTHER[name]})
    assert asked != record(), "the value is the default's: nothing is tested"
    assert parsed(record, words(asked)) == asked


@pytest.mark.parametrize("record", RECORDS)
def test_all_options_at_once_and_none(record):
    everything = record(**{f.name: OTHER[f.name] for f in dataclasses.fields(record)})
    assert parsed(record, words(everything)) == everything
    assert parsed(record, []) == record()
    assert words(record()) == []


@pytest.mark.parametrize("record", [EngineOptions, NetworkOptions])
def test_the_build_command_takes_every_option_of_a_build(record):
    said = words(record(**{f.name: OTHER[f.name] for f in dataclasses.fields(record)}))
    args = build.parser().parse_args(["m.pth", *said])
    assert words(read_options(record, args)) == said


def test_a_field_that_nobody_described_is_no_option():
    @dataclasses.dataclass(frozen=True)
    class Forgetful(NetworkOptions):
        forgotten: int = 0

    with pytest.raises(KeyError):
        add_options(argparse.ArgumentParser(), Forgetful)
    with pytest.raises(KeyError):
        words(Forgetful())


def test_a_field_that_is_described_needs_nothing_else():
    @dataclasses.dataclass(frozen=True)
    class More(NetworkOptions):
        added: str | None = option(None, "something new")

    parser = argparse.ArgumentParser()
    add_options(parser, More)
    asked = More(added="x")
    assert words(asked) == ["--added", "x"]
    assert read_options(More, parser.parse_args(words(asked))) == asked


def test_one_name_is_one_flag_in_every_record():
    flags = {}
    for record in RECORDS:
        for each, described in options_of(record):
            flag = flag_of(each, described)
            assert flags.setdefault(each.name, flag) == flag


@pytest.mark.parametrize("name", ["auto", *LOWERINGS])
def test_every_lowering_there_is_is_offered(name):
    assert export.parser().parse_args(["m.pth", "--lowering", name]).lowering == name


@pytest.mark.parametrize("text", ["1x3x32x32", "1,3,32,32", "1X3x32,32"])
def test_every_command_reads_a_shape_alike(text):
    shape = (1, 3, 32, 32)
    for parser, needed in ((export, 1), (build, 1), (validate, 2)):
        args = parser.parser().parse_args(["m"] * needed + ["--input-shape", text])
        assert args.input_shape == shape
    args = build.parser().parse_args(["m", "--opt-shapes", f"a:{text},b:{text}"])
    assert args.opt_shapes == [{"a": shape, "b": shape}]
    assert load.parser().parse_args(["--shape", f"a={text}"]).shape == [("a", shape)]


@pytest.mark.parametrize("text", ["", "1x", "1xax3", "1 x3", "1_0x3", "1x\u0663", "x"])
def test_every_command_refuses_what_is_no_shape(text, capsys):
    refused(
        capsys,
        (export, ["m", f"--input-shape={text}"]),
        (build, ["m", f"--input-shape={text}"]),
        (validate, ["m", "m", f"--input-shape={text}"]),
        (build, ["m", f"--opt-shapes=x:{text}"]),
        (load, [f"--shape=x={text}"]),
    )


@pytest.mark.parametrize("text", ["0x3", "-1x3"])
def test_what_is_to_be_run_leaves_no_size_free(text, capsys):
    refused(capsys, (build, ["m", f"--opt-shapes=x:{text}"]), (load, [f"--shape=x={text}"]))


def refused(capsys, *commands):
    for parser, said in commands:
        with pytest.raises(SystemExit) as ended:
            parser.parser().parse_args(said)
        assert ended.value.code == 2
        assert "like" in capsys.readouterr().err


def test_an_error_is_told_with_the_flags_that_it_is_about():
    error = UsageError("lambda must be\n a number", options=("e_lambda", "simplify", "seed"))
    assert worded(error) == "lambda must be a number (--lambda, --no-simplify, --seed)"
    assert worded(UsageError("no")) == "no"


def test_no_flag_is_named_that_the_command_lacks():
    """`simam validate` has no names of classes to be given."""
    error = UsageError("which", options=("e_lambda", "labels"))
    assert worded(error, validate.parser()) == "which (--lambda)"
    assert worded(UsageError("which", options=("labels",)), validate.parser()) == "which"
    assert worded(error, export.parser()) == "which (--lambda, --labels)"


SAID_BY_OTHERS = {
    "core/options.py": "makes the flags",
    "pipeline/epcontext.py": "the command that makes the file anew, kept in its manifest",
    "serve/deploy/kserve.py": "a command for whoever reads the file later",
    "serve/deploy/readme.py": "commands of Triton, for whoever reads the file later",
}


def spoken(tree):
    """Every string of a module that is no docstring, and those under its plain strings."""
    silent = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in silent
        ):
            yield node.value


LIBRARY = sorted(p for p in PACKAGE.rglob("*.py") if p.relative_to(PACKAGE).parts[0] != "cli")


def test_only_the_command_line_names_flags():
    said = {
        f"{name}: {text}"
        for path in LIBRARY
        if (name := str(path.relative_to(PACKAGE))) not in SAID_BY_OTHERS
        for text in spoken(ast.parse(path.read_text()))
        if re.search(r"(?<![\w-])--[a-z]", text)
    }
    assert said == set()


def named_by_errors():
    """Every option that an error of the library is said to be about, with its place."""
    for path in LIBRARY:
        for node in ast.walk(ast.parse(path.read_text())):
            about = isinstance(node, ast.keyword) and node.arg == "options"
            if about and isinstance(node.value, ast.Tuple):  # others hand on what an error had
                names = [n.value for n in node.value.elts if isinstance(n, ast.Constant)]
                yield from ((name, path.name) for name in names)


def test_every_option_that_an_error_is_about_is_one_of_a_command():
    flags = {
        flag
        for command in (bench, build, explain, export, inspect, load, report, serve, validate)
        for action in command.parser()._actions
        for flag in action.option_strings
    }
    named = list(named_by_errors())
    assert len(named) > 30
    for name, place in named:
        (flag,) = re.findall(r"--[\w-]+", worded(UsageError("", options=(name,))))
        assert flag in flags, f"{place} says {name}"


@pytest.mark.parametrize(
    "command", [bench, build, explain, export, inspect, load, report, serve, validate]
)
def test_a_command_defines_no_option_of_a_record_itself(command):
    """The network's options stood in three commands, and each drifted."""
    names = {f.name for record in RECORDS for f in dataclasses.fields(record)}
    names -= {"output", "model", "precision"}  # what other commands call so is something else
    for node in ast.walk(ast.parse(Path(command.__file__).read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            for flag in (n.value for n in node.args if isinstance(n, ast.Constant)):
                assert flag.strip("-").replace("-", "_") not in names
