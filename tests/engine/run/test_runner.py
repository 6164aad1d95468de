"""The runner's own work (buffers, graphs, profiles, types), on a device that is host memory.

That a plan computes what its graph does is for `scripts/bench/gpu_all`, on a GPU.
"""

import threading

import numpy as np
import pytest
import torch

from simam_deploy.core.manifest import manifest_path
from simam_deploy.core.specs import ShapeRange
from simam_deploy.engine.build.build import build_engine
from simam_deploy.engine.request import BuildRequest
from simam_deploy.engine.run.runner import TensorRTRunner
from simam_deploy.errors import EngineError, InputError
from tests.engine.conftest import write_onnx


def profile(*batches):
    return (ShapeRange("x", *((n, 4, 8, 8) for n in batches)),)


@pytest.fixture
def plan(gpu, tmp_path):
    onnx = write_onnx(tmp_path / "m.onnx")
    profiles = profile(1, 2, 4), profile(5, 8, 16)
    return build_engine(
        BuildRequest(onnx, tmp_path / "m.engine", "tensorrt", profiles=profiles)
    ).path


@pytest.fixture
def runner(plan):
    with TensorRTRunner(plan) as opened:
        yield opened


def batch(n, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal((n, 4, 8, 8)).astype(dtype)


def test_numpy_in_numpy_out(runner):
    for seed in range(4):  # by the library, recorded, replayed, replayed
        x = batch(2, seed=seed)
        (y,) = runner.run({"x": x}).values()
        np.testing.assert_array_equal(y, 2 * x)
        assert y.dtype == np.float32


def test_what_is_known_of_the_engine(runner):
    assert [str(s) for s in (*runner.inputs, *runner.outputs)] == [
        "x float32 ? x 4 x 8 x 8",
        "y float32 ? x 4 x 8 x 8",
    ]
    assert [p[0].max for p in runner.profiles] == [(4, 4, 8, 8), (16, 4, 8, 8)]
    assert runner.name == "TensorRT 11.4.0.106 (m.engine)"


def test_torch_in_torch_out(runner):
    x = torch.from_numpy(batch(3)).permute(0, 1, 3, 2)  # not contiguous
    (y,) = runner.run_torch({"x": x}).values()
    assert torch.equal(y, 2 * x)


def test_strided_numpy(runner):
    x = batch(4)[::2]
    np.testing.assert_array_equal(runner.run({"x": x})["y"], 2 * x)


def test_a_shape_is_recorded_once_and_replayed(runner, gpu):
    for _ in range(10):
        runner.run({"x": batch(2)})
    assert gpu.calls.count("cudaGraphInstantiate") == 1
    assert gpu.calls.count("cudaGraphLaunch") == 9


def test_without_cuda_graphs(plan, gpu):
    with TensorRTRunner(plan, cuda_graph=False) as runner:
        for seed in range(3):
            x = batch(2, seed=seed)
            np.testing.assert_array_equal(runner.run({"x": x})["y"], 2 * x)
    assert "cudaGraphLaunch" not in gpu.calls


def test_buffers_are_reused_and_grow(runner, gpu):
    for n in (2, 2, 1, 2, 4, 3, 4, 1):
        x = batch(n, seed=n)
        np.testing.assert_array_equal(runner.run({"x": x})["y"], 2 * x)
    assert gpu.calls.count("cudaMalloc") == 4  # x and y, for 2 and for 4


def test_shapes_in_turn_each_by_its_graph(runner):
    """A graph that knew a buffer which has grown since would write to memory that is gone."""
    for n in (1, 1, 2, 2, 1, 2, 4, 4, 1, 1, 2, 4) * 2:
        x = batch(n, seed=n)
        np.testing.assert_array_equal(runner.run({"x": x})["y"], 2 * x)


def test_profiles_are_switched(runner):
    for n in (1, 8, 4, 16, 5, 1):
        x = batch(n, seed=n)
        np.testing.assert_array_equal(runner.run({"x": x})["y"], 2 * x)


def test_no_more_graphs_are_kept_than_planned(gpu, tmp_path):
    onnx = write_onnx(tmp_path / "m.onnx")
    request = BuildRequest(onnx, tmp_path / "m.engine", "tensorrt", profiles=(profile(1, 64, 64),))
    with TensorRTRunner(build_engine(request).path) as runner:
        for n in (64, *range(64, 0, -1), *range(1, 65)):
            x = batch(n, seed=n)
            np.testing.assert_array_equal(runner.run({"x": x})["y"], 2 * x)
            runner.run({"x": x})
        assert len(gpu.graphs) <= 32


def test_nothing_is_left_when_it_is_closed(plan, gpu):
    with TensorRTRunner(plan) as runner:
        for n in (2, 2, 8, 8):
            runner.run({"x": batch(n)})
        assert gpu.memory
        assert gpu.graphs
    assert gpu.memory == {}
    assert gpu.graphs == set()
    assert gpu.streams == {}


def test_two_threads_on_one_runner_and_on_a_fork(runner):
    wrong = []

    def work(own, seed):
        for n in (1, 2, 4) * 20:
            x = batch(n, seed=seed)
            if not np.array_equal(own.run({"x": x})["y"], 2 * x):
                wrong.append(seed)

    with runner.fork() as fork:
        threads = [
            threading.Thread(target=work, args=(own, seed))
            for seed, own in enumerate((runner, runner, fork))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_half_in_and_out(gpu, tmp_path):
    import onnx

    path = tmp_path / "m.onnx"
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float16[n,4,8,8] x) => (float16[n,4,8,8] y) { y = Add(x, x) }"""
    )
    path.write_bytes(model.SerializeToString())
    request = BuildRequest(
        path, tmp_path / "m.engine", "tensorrt", profiles=(profile(1, 2, 4),), precision="fp32"
    )
    with TensorRTRunner(build_engine(request).path) as runner:
        x = batch(2, np.float16)
        y = runner.run({"x": x})["y"]
        assert y.dtype == np.float16
        np.testing.assert_array_equal(y, 2 * x)
        (t,) = runner.run_torch({"x": torch.from_numpy(x)}).values()
        assert t.dtype == torch.float16


def test_latencies_are_the_devices_own(runner, gpu):
    gpu.events.clear()
    gpu.destroyed.clear()
    times = runner.latencies({"x": (2, 4, 8, 8)}, runs=5, warm_up=2)
    assert len(times) == 5
    assert min(times) > 0
    pairs = [1e3 * (gpu.events[2 * i + 1] - gpu.events[2 * i]) for i in range(7)]
    assert times == pairs[2:]
    assert gpu.destroyed == gpu.events.keys()


@pytest.mark.parametrize(
    ("feeds", "says"),
    [
        ({}, "takes inputs x; got none"),
        ({"z": batch(1)}, "takes inputs x; got z"),
        ({"x": batch(1, np.float64)}, "input x float32 .* was given as float64"),
        ({"x": batch(17)}, r"x 17x4x8x8 is outside .*x 1x4x8x8 to 4x4x8x8; x 5x4x8x8 to 16x4x8x8"),
        ({"x": batch(0)}, "x 0x4x8x8 is outside"),
        ({"x": batch(1)[0]}, "x 4x8x8 is outside"),
        ({"x": batch(1)[..., :7]}, "x 1x4x8x7 is outside"),
    ],
)
def test_feeds_that_do_not_fit(feeds, says, runner):
    with pytest.raises(InputError, match=says):
        runner.run(feeds)
    x = batch(2)
    np.testing.assert_array_equal(runner.run({"x": x})["y"], 2 * x)


def test_a_plan_without_a_manifest_wants_trust(plan):
    manifest_path(plan).unlink()
    with pytest.raises(EngineError, match="or trust it"):
        TensorRTRunner(plan)
    with TensorRTRunner(plan, trust=True) as runner:
        assert runner.run({"x": batch(1)})["y"].shape == (1, 4, 8, 8)


def test_a_truncated_plan_that_is_trusted(plan):
    plan.write_bytes(plan.read_bytes()[:60])
    with pytest.raises(EngineError, match=r"does not take m\.engine: Error Code 1: Serialization"):
        TensorRTRunner(plan, trust=True)


def test_without_a_gpu(fakes, tmp_path):
    with pytest.raises(
        EngineError,
        match=r"runs on an NVIDIA GPU alone: the NVIDIA driver answers CUDA_ERROR_NO_DEVICE",
    ):
        TensorRTRunner(tmp_path / "m.engine")


def test_the_fake_device_has_the_names_and_arguments_of_the_real_one(gpu):
    import importlib.util
    import inspect
    import sys

    from tests.engine.conftest import FAKES, forget

    fake = {n: f for n, f in vars(gpu).items() if n.startswith("cuda") and inspect.isfunction(f)}
    forget("cuda")
    sys.path.remove(str(FAKES))
    if importlib.util.find_spec("cuda") is None:
        pytest.skip("cuda-bindings is missing: pip install 'simam-deploy[rtx]'")
    from cuda.bindings import runtime

    for name, function in fake.items():
        told = getattr(runtime, name).__doc__.splitlines()[0]
        arguments = told.partition("(")[2].rpartition(")")[0]
        count = len([a for a in arguments.split(",") if a.strip()])
        assert count == len(inspect.signature(function).parameters), told
