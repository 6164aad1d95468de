"""SimAM's operators in ONNX Runtime's CPU provider: the library that scripts/build_plugin makes."""

import contextlib
import threading

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from simam_deploy import InputError, export_onnx
from simam_deploy.graph.lower.function import body
from simam_deploy.op import contract
from simam_deploy.op.find import OPERATORS, OPERATORS_VARIABLE, find_operators
from simam_deploy.pipeline.options import OnnxOptions
from simam_deploy.runtime import onnx_runner
from simam_deploy.runtime.onnx_runner import PROVIDERS, OnnxRunner

LAMBDA = 0.1
CLIP = (0.0, 6.0)
RNG = np.random.default_rng(0)


@pytest.fixture
def library():
    found = find_operators()
    if found is None:
        pytest.skip("no operators: scripts/build_plugin --onnxruntime-include DIR makes them")
    return found


def session(model, library, threads=2):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    if library is not None:
        options.register_custom_ops_library(str(library))
    content = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def graph(dtype="float", dims="n, c, h, w", channels="c"):
    """All three operators on one map, with their bodies as functions beside."""
    clip = f"clip_min = {CLIP[0]}, clip_max = {CLIP[1]}"
    model = ir.from_proto(
        onnx.parser.parse_model(f"""
            <ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
            g ({dtype}[{dims}] x, float[{channels}] s, float[{channels}] b, {dtype}[{dims}] r)
              => ({dtype}[{dims}] plain, {dtype}[{dims}] affine, {dtype}[{dims}] residual) {{
              plain = simam.SimAM<e_lambda = {LAMBDA}>(x)
              affine = simam.SimAMEpilogue<e_lambda = {LAMBDA}, {clip}>(x, s, b)
              residual = simam.SimAMResidualEpilogue<e_lambda = {LAMBDA}, {clip}>(x, s, b, r)
            }}""")
    )
    for op_type in contract.INPUTS:
        written = body(op_type, 18, small=False)
        model.functions[written.identifier()] = written
    return ir.to_proto(model)


def feeds(shape, mean=0.0, dtype=np.float32):
    scale, bias = RNG.standard_normal((2, shape[1])).astype(np.float32)
    x, residual = ((RNG.standard_normal(shape) + m).astype(dtype) for m in (mean, 0))
    return {"x": x, "s": scale, "b": bias, "r": residual}


def wanted(given):
    x, r = (given[name].astype(np.float32) for name in "xr")
    ends = {"e_lambda": LAMBDA, "clip_min": CLIP[0], "clip_max": CLIP[1]}
    return [
        contract.simam_reference(x, LAMBDA),
        contract.epilogue_reference(x, given["s"], given["b"], None, **ends),
        contract.epilogue_reference(x, given["s"], given["b"], r, **ends),
    ]


@pytest.mark.parametrize("mean", [0, 10, 1000])
@pytest.mark.parametrize("shape", [(2, 5, 7, 7), (1, 3, 56, 57), (3, 2, 1, 2), (1, 1, 200, 334)])
def test_the_contract_is_kept(library, shape, mean):
    given = feeds(shape, mean)
    for got, exact in zip(session(graph(), library).run(None, given), wanted(given), strict=True):
        assert np.abs(got - exact).max() <= 1e-6 * max(1, np.abs(given["x"]).max())


@pytest.mark.parametrize(
    ("name", "dtype", "bound"), [("float16", np.float16, 1e-3), ("double", np.float64, 1e-6)]
)
def test_other_types_are_computed_in_float32(library, name, dtype, bound):
    """A half's own rounding is 2^-11 of its value."""
    given = feeds((2, 4, 9, 9), 0, dtype)
    by_operator = session(graph(name), library).run(None, given)
    by_function = session(graph(name), None).run(None, given)
    for got, body_s, exact in zip(by_operator, by_function, wanted(given), strict=True):
        assert got.dtype == dtype
        assert np.abs(got - exact).max() <= bound * np.abs(exact).max()
        assert np.abs(got.astype(np.float64) - body_s).max() <= bound * np.abs(exact).max()


def test_bfloat16_is_rounded_to_nearest_and_nans_stay(library):
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 18, "simam" : 1]>
        g (float[1, 2, 8, 8] x) => (float[1, 2, 8, 8] y) { h = Cast<to = 16>(x)
        g1 = simam.SimAM<e_lambda = 0.1>(h) y = Cast<to = 1>(g1) }"""
    )
    bits = RNG.standard_normal((1, 2, 8, 8)).astype(np.float32).view(np.uint32) & 0xFFFF0000
    x = bits.view(np.float32)
    x[0, 1, 0, 0] = np.nan
    (y,) = session(model, library).run(None, {"x": x})
    assert np.isnan(y[0, 1]).all()
    exact = contract.simam_reference(x[:, :1], 0.1)
    assert (y.view(np.uint32) & 0xFFFF == 0).all()
    assert np.abs(y[0, 0] / exact[0, 0] - 1).max() <= 2**-8 + 1e-6


def test_nothing_is_computed_of_an_empty_batch(library):
    given = feeds((0, 3, 8, 8))
    assert [y.shape for y in session(graph(), library).run(None, given)] == [(0, 3, 8, 8)] * 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"s": np.ones(4, np.float32)}, "a value for each channel"),
        ({"r": np.ones((1, 3, 8, 9), np.float32)}, "residual has the shape of x"),
    ],
)
def test_what_does_not_fit_is_refused(library, change, says):
    given = {**feeds((1, 3, 8, 8)), **change}
    model = graph(dims="n, ?, ?, ?".replace("?", "q"), channels="k")
    with pytest.raises(Exception, match=says):
        session(model, library).run(None, given)


def test_a_map_of_another_rank_is_refused(library):
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[n, c, w] x) => (float[n, c, w] y) { y = simam.SimAM<e_lambda = 0.1>(x) }"""
    )
    with pytest.raises(Exception, match="SimAM takes"):
        session(model, library).run(None, {"x": np.ones((1, 2, 8), np.float32)})


def blocked(block, channels, op="SimAM", given="x"):
    """A node that only a graph of the server's own has, as somebody may send it."""
    said = f"e_lambda = 0.1, block = {block}, channels = {channels}"
    said += ", clip_min = 0.0, clip_max = 6.0" if op != "SimAM" else ""
    return onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18, "simam.nchwc" : 1]>
        g (float[n, c, h, w] x, float[k] s) => (float[n, c, h, w] y) {{
          y = simam.nchwc.{op}<{said}>({given}) }}"""
    )


@pytest.mark.parametrize(("block", "channels"), [(7, 7), (0, 5), (-8, 5), (16, 0), (16, 2**40)])
def test_blocks_that_are_none_are_refused(library, block, channels):
    with pytest.raises(Exception, match="blocks are of 8 or 16 channels"):
        session(blocked(block, channels), library)


@pytest.mark.parametrize(
    ("held", "channels", "says"),
    [(16, 17, "blocks hold its channels"), (32, 16, "blocks hold its channels"), (16, 9, "")],
)
def test_blocks_hold_the_channels_and_no_more(library, held, channels, says):
    x = RNG.standard_normal((2, held, 5, 3)).astype(np.float32)
    made = session(blocked(16, channels), library)
    if says:
        with pytest.raises(Exception, match=says):
            made.run(None, {"x": x, "s": np.ones(1, np.float32)})
        return
    (y,) = made.run(None, {"x": x, "s": np.ones(1, np.float32)})
    lanes = x.reshape(2, 5, 3, 16).transpose(0, 3, 1, 2)
    exact = contract.simam_reference(lanes, 0.1)
    got = y.reshape(2, 5, 3, 16).transpose(0, 3, 1, 2)
    assert np.abs(got[:, :9] - exact[:, :9]).max() <= 1e-6 * np.abs(x).max()
    assert (got[:, 9:] == 0).all()


def test_scales_of_blocks_are_counted(library):
    made = session(blocked(16, 9, "SimAMEpilogue", "x, s, s"), library)
    x = np.ones((1, 16, 4, 4), np.float32)
    with pytest.raises(Exception, match="a value for each channel"):
        made.run(None, {"x": x, "s": np.ones(8, np.float32)})


def test_two_sessions_and_many_threads_see_their_own(library):
    runs = [session(graph(), library, threads=3) for _ in range(2)]
    inputs = [feeds((2, 7, 13, 11), mean) for mean in range(8)]
    alone = [runs[0].run(None, given) for given in inputs]
    failed = []

    def work(number):
        for _ in range(20):
            for got, exact in zip(
                runs[number % 2].run(None, inputs[number]), alone[number], strict=True
            ):
                if not np.array_equal(got, exact):
                    failed.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_one_file_is_proved_by_its_functions_and_run_by_the_operators(
    library, digits, tmp_path, monkeypatch
):
    file = export_onnx(digits, tmp_path / "m.onnx", onnx=OnnxOptions(lowering="function")).path
    x = RNG.standard_normal((2, 3, 32, 32)).astype(np.float32)
    ran = {}
    for way, as_written in (("operators", False), ("functions", True), ("off", False)):
        folder = tmp_path / way
        folder.mkdir()
        if way == "off":
            monkeypatch.setenv(OPERATORS_VARIABLE, "off")
        with OnnxRunner(file, as_written=as_written, profile=folder) as runner:
            (name,) = (spec.name for spec in runner.inputs)
            (y,) = runner.run({name: x}).values()
            ops = {event["args"]["op_name"] for event in runner.profiled()}
        ran[way] = y, {op for op in ops if op.startswith("SimAM")}
    assert ran["operators"][1]
    assert ran["functions"][1] == ran["off"][1] == set()
    for way in ("functions", "off"):
        np.testing.assert_allclose(ran["operators"][0], ran[way][0], rtol=1e-4, atol=1e-5)


def test_off_leaves_them_out_and_a_wrong_name_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv(OPERATORS_VARIABLE, "off")
    assert find_operators() is None
    monkeypatch.setenv(OPERATORS_VARIABLE, str(tmp_path / "none.so"))
    for provider in OPERATORS:
        with pytest.raises(InputError, match=r"names .*none\.so, which is no file"):
            find_operators(provider)
    monkeypatch.setenv(OPERATORS_VARIABLE, str(tmp_path))
    with pytest.raises(InputError, match=r"names .*libsimam_onnxruntime\.so, which is no file"):
        find_operators()
    assert find_operators("cuda") is None


def test_the_libraries_of_a_folder_and_by_name(monkeypatch, tmp_path):
    paths = {provider: tmp_path / name for provider, name in OPERATORS.items()}
    for path in paths.values():
        path.write_bytes(b"")
    monkeypatch.setenv(OPERATORS_VARIABLE, str(tmp_path))
    assert {provider: find_operators(provider) for provider in OPERATORS} == paths
    assert find_operators("tensorrt") is None
    for named, (cpu, cuda) in {
        "cpu": (paths["cpu"], None),
        "cuda": (paths["cuda"], paths["cuda"]),  # it has the CPU's too
    }.items():
        monkeypatch.setenv(OPERATORS_VARIABLE, str(paths[named]))
        assert (find_operators("cpu"), find_operators("cuda")) == (cpu, cuda)


@pytest.mark.parametrize(("providers", "asked"), [*zip(PROVIDERS.values(), PROVIDERS, strict=True)])
def test_a_session_asks_for_its_own_provider_s_operators(providers, asked, monkeypatch, tmp_path):
    """What the others have runs on no machine without a GPU: what is looked for is what is told."""
    seen = []
    monkeypatch.setattr(onnx_runner, "find_operators", lambda provider: seen.append(provider))
    monkeypatch.setattr(onnx_runner, "_check_provider", lambda wanted, there: None)
    file = tmp_path / "m.onnx"
    onnx.save(
        onnx.parser.parse_model(
            """<ir_version: 8, opset_import: ["" : 18]>
            g (float[1, 2] x) => (float[1, 2] y) { y = Relu(x) }"""
        ),
        file,
    )
    for as_written in (False, True):
        with contextlib.suppress(InputError):  # the provider is not here
            OnnxRunner(file, providers, as_written=as_written).close()
    assert seen == [asked]
