"""`simam serve`: what it refuses before it listens. How it serves is in tests/serve."""

import pytest

from simam_deploy.cli.serve import main, parser
from simam_deploy.runtime.onnx_runner import PROVIDERS
from simam_deploy.serve.settings import Settings
from tests.serve import graphs


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["missing.onnx"], 1, "no such file"),
        (["empty"], 1, "nothing to serve"),
        (["a/double.onnx", "b/double.onnx"], 2, "would both be 'double'"),
        (["a=a/double.onnx", "a=b/double.onnx"], 2, "would both be 'a'"),
        (["../=a/double.onnx"], 1, "no such file"),
        (["..=a/double.onnx"], 2, "cannot be a model's name"),
        (["n=a"], 2, "is a folder"),
        (["a/double.onnx", "--token-file", "missing"], 1, "cannot read the token"),
        (["a/double.onnx", "--token-file", "blank"], 1, "holds no token"),
        (["a/double.onnx", "--certificate", "c.pem"], 2, "go together"),
        (["notes.txt"], 1, "notes.txt"),
    ],
)
def test_what_the_command_refuses(arguments, code, says, tmp_path, monkeypatch, capsys):
    for name in ("a", "b", "empty"):
        (tmp_path / name).mkdir()
    for name in ("a", "b"):
        graphs.double(tmp_path / name)
    (tmp_path / "blank").write_text("\n")
    (tmp_path / "notes.txt").write_text("no model")
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "-q"]) == code
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "[NAME=]PATH"),
        (["m.onnx", "--http-port", "65536"], "not a port"),
        (["m.onnx", "--http-port", "-1"], "not a port"),
        (["m.onnx", "--max-batch-size", "0"], "above 0"),
        (["m.onnx", "--max-queue", "many"], "not a whole number above 0"),
        (["m.onnx", "--timeout", "nan"], "not seconds"),
        (["m.onnx", "--provider", "tpu"], "invalid choice"),
    ],
)
def test_usage_errors(options, says, capsys):
    with pytest.raises(SystemExit) as ended:
        main(options)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_the_options_say_what_the_settings_say():
    """Two places hold the defaults: the command must start without importing the server."""
    args, usual = parser().parse_args(["m.onnx"]), Settings()
    for name in ("host", "http_port", "grpc_port", "max_batch_size", "max_delay_us", "max_queue",
                 "instances", "threads", "provider", "trust_engine", "timeout", "max_connections",
                 "drain_delay", "drain_timeout"):  # fmt: skip
        assert getattr(args, name) == getattr(usual, name), name
    assert args.max_body_mb << 20 == usual.max_body
    (choices,) = (a.choices for a in parser()._actions if a.dest == "provider")
    assert set(choices) == {"auto", *PROVIDERS}
