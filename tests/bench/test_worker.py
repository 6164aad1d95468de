"""The process that a model is measured in."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from simam_deploy.bench.asked import EAGER, Asked
from simam_deploy.bench.process import Worker
from simam_deploy.bench.worker import WINDOW, is_stable, read_arrays, write_arrays
from simam_deploy.core.memory import peak_memory
from simam_deploy.core.specs import TensorSpec
from simam_deploy.errors import InputError
from simam_deploy.source.options import NetworkOptions


@pytest.fixture
def feeds(tmp_path):
    file = tmp_path / "feeds.npz"
    write_arrays(file, [np.ones((2, 3, 32, 32), np.float32)])
    return file


def test_it_runs_times_and_ends(digits_onnx, feeds, tmp_path):
    with Worker(Asked(digits_onnx, "cpu", "digits")) as worker:
        wall, used = worker.first_answer(feeds)
        assert used > 0
        assert wall > 0
        kept = worker.order("keep", feeds=feeds, outputs=tmp_path / "out.npz")
        assert kept["outputs"] == ["logits"]
        assert read_arrays(tmp_path / "out.npz")[0].shape == (2, 10)
        warm = worker.order("warm", feeds=feeds)
        assert warm["runs"] >= 2 * WINDOW or not warm["stable"]
        taken = worker.order("time", feeds=feeds, seconds=0.001)
        assert len(taken["wall"]) == len(taken["processor"]) >= 1
        assert min(taken["processor"]) > 0
        assert worker.order("memory")["peak"] > 20e6
        process = worker._process
    assert process.returncode == 0


def test_a_batch_that_a_file_fixes_otherwise_is_an_answer_and_the_process_goes_on(
    own_batch, feeds, tmp_path
):
    with Worker(Asked(own_batch, "cpu", "fixed")) as worker:
        with pytest.raises(InputError, match=r"it takes x float32 1 x 3 x 32 x 32, .* 2x3x32x32"):
            worker.first_answer(feeds)
        one = tmp_path / "one.npz"
        write_arrays(one, [np.ones((1, 3, 32, 32), np.float32)])
        worker.first_answer(one)


@pytest.fixture
def own_batch(tmp_path):
    import onnx

    file = tmp_path / "fixed.onnx"
    text = """<ir_version: 8, opset_import: ["" : 18]>
    g (float[1,3,32,32] x) => (float[1,3,32,32] y) { y = Relu(x) }"""
    onnx.save(onnx.parser.parse_model(text), file)
    return file


def test_a_file_that_is_none_is_said(tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(InputError, match="ONNX Runtime does not take broken"):
        Worker(Asked(broken, "cpu", "broken"))


def test_a_process_that_is_killed_is_said_with_its_signal(digits_onnx, feeds):
    with Worker(Asked(digits_onnx, "cpu", "digits")) as worker:
        os.kill(worker._process.pid, signal.SIGKILL)
        with pytest.raises(InputError, match="ended by signal SIGKILL"):
            worker.order("warm", feeds=feeds)


def test_what_is_said_of_a_network_reaches_the_process():
    said = NetworkOptions(e_lambda=0.5, inputs=(TensorSpec("left", "float32", (1, 3, 8, 8)),))
    asked = Asked(__file__, EAGER, "name", said, 3)
    again = Asked.from_json(asked.to_json())
    assert (again.network, again.how, again.threads) == (said, EAGER, 3)
    assert str(again.path) == __file__


def test_warm_is_two_windows_alike():
    assert not is_stable([1.0] * (2 * WINDOW - 1))
    assert is_stable([9.0] * 3 + [1.0] * 2 * WINDOW)
    assert not is_stable([1.0] * WINDOW + [0.9] * WINDOW)
    assert is_stable([1.0] * WINDOW + [0.97] * WINDOW)
    assert is_stable([1.0] * WINDOW + [1.0, 1.0, 1.0, 5.0, 5.0])  # a burst is not the network


def test_peak_memory_is_this_processes_own():
    """Not that of whoever started it, which getrusage begins with."""
    block = np.ones(200 << 20, np.uint8)
    code = (
        "import numpy as np; from simam_deploy.core.memory import peak_memory as peak; "
        "before = peak(); b = np.ones(80 << 20, np.uint8); print(before, peak() - before)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, more = map(int, done.stdout.split())
    assert before < block.nbytes < peak_memory()
    assert more == pytest.approx(80 << 20, rel=0.1)
