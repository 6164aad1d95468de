"""`simam load`: what a shell sees of it."""

import json
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("httptools", reason="needs the extra `serve`")

from simam_deploy.cli.load import main
from tests.serve.load.stub import Stub, start_http

COMMAND = [sys.executable, "-m", "simam_deploy", "load"]


@pytest.fixture
def url():
    with Stub(delay=1e-3).running(start_http) as port:
        yield f"http://127.0.0.1:{port}"


def test_the_table(url, capsys):
    assert main([url, "--seconds", "0.3", "--clients", "2", "--batch", "2", "-q"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "model",
        "load",
        "answered",
        "goodput",
        "latency",
    ]
    assert lines[1].split(maxsplit=1)[1] == "closed loop, 2 clients, batch 2, seed 0"
    assert "items/s" in lines[3]


def test_json_is_the_only_thing_on_stdout(url):
    options = ["--seconds", "1.5", "--rate", "50", "--json"]
    done = subprocess.run([*COMMAND, url, *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["loop"] == "open"
    assert document["answered"] + document["unsent"] == 75
    assert set(document["latency_ms"]) == {"p50", "p90", "p95", "p99", "max"}
    assert "requests/s, 0 errors" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_prints_what_was_measured(number, url, launch):
    command = [*COMMAND, url, "--seconds", "60", "--json"]
    child = launch(command)
    assert "requests/s" in child.stderr.readline()
    child.send_signal(number)
    started = time.perf_counter()
    out, err = child.communicate(timeout=60)
    assert time.perf_counter() - started < 30  # of the 60 that it was to measure for
    assert child.returncode == 130
    assert "Traceback" not in err
    document = json.loads(out)
    assert document["interrupted"] is True
    assert document["answered"] > 0
    assert 1 <= document["seconds"] < 30


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["http://192.0.2.1:8000"], 2, "--allow-remote"),
        (["http://127.0.0.1:9", "--model", "m"], 1, "not connected"),
        (["--seconds", "1e9"], 2, "at most 600"),
        (["--rate", "1e9"], 2, "at most 20000"),
        (["--clients", "0"], 2, "clients must be above 0 and at most 1000, got 0 (--clients)"),
        (["--token-file", "/nowhere"], 1, "cannot read the token"),
        (["--token-file", "/dev/null"], 1, "holds no token"),
    ],
)
def test_errors_are_one_line(options, code, says, capsys):
    assert main(options) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("simam: error: ")
    assert printed.err.count("\n") == 1
    assert says in printed.err


def test_a_shape_that_is_none(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--shape", "input=1xax3"])
    assert caught.value.code == 2
    assert "not a shape like 1x3x224x224" in capsys.readouterr().err
