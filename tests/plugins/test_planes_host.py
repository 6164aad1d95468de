"""SimAM's planes for ONNX Runtime's CPU provider, compiled by g++ and held against float64.

`plugins/simam/tests/planes_host.cpp` computes every odd size, epilogue and type, plane after plane
and in blocks of channels, in place and not, by two threads, in every way that this machine has; and
behind 2^31 elements.
"""

import concurrent.futures
import platform
import shutil
import subprocess

import pytest

from tests.test_import_order import ROOT

SOURCES = ROOT / "plugins" / "simam"
WAYS = {
    "planes_avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma"],
    "planes_avx2": ["-mavx2", "-mfma"],
}
FLAGS = ["-std=gnu++17", "-O1", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast",
         "-Wno-psabi"]  # fmt: skip


def compiled(folder, *more, change=None):
    """Build the program; `change` is made to a file that every way includes."""
    gxx = shutil.which("g++")
    if gxx is None:
        pytest.skip("no g++: the planes' host proof cannot be compiled")
    source = folder / "simam"
    shutil.copytree(SOURCES, source)
    if change is not None:
        name, right, wrong = change
        body = source / "onnxruntime" / name
        text = body.read_text()
        assert right in text
        body.write_text(text.replace(right, wrong))
    names = ["ways", "typed", "planes_plain"]
    names += WAYS if platform.machine() in ("x86_64", "AMD64") else []

    def build(name):
        place = "tests" if name == "planes_host" else "onnxruntime"
        command = [gxx, *FLAGS, *more, *WAYS.get(name, ()), "-c", f"{source / place / name}.cpp"]
        subprocess.run(command, cwd=folder, check=True)
        return f"{name}.o"

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(build, [*names, "planes_host"]))
    subprocess.run([gxx, *more, *objects, "-o", "host", "-lpthread"], cwd=folder, check=True)
    return folder / "host"


def ran(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_portable_way_runs_on_aarch64(tmp_path):
    """Computed by an emulator, statically linked: what the machine adds is its own libc."""
    gxx, emulator = shutil.which("aarch64-linux-gnu-g++"), shutil.which("qemu-aarch64")
    if gxx is None or emulator is None:
        pytest.skip("no aarch64-linux-gnu-g++, or no qemu-aarch64 to run what it makes")
    names = ["onnxruntime/ways", "onnxruntime/typed", "onnxruntime/planes_plain"]
    files = [str(SOURCES / f"{name}.cpp") for name in (*names, "tests/planes_host")]
    command = [gxx, *FLAGS, "-O2", "-static", *files, "-o", "host", "-lpthread"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = ran(emulator, tmp_path / "host")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("plain: worst")


def test_every_way_is_within_a_millionth_of_float64(tmp_path):
    done = ran(compiled(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "plain: worst" in done.stdout
    assert done.stdout.count("by float64 0.00e+00") == done.stdout.count("worst")


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_no_byte_is_touched_that_is_not_the_tensor_s_own(sanitizer, tmp_path):
    done = ran(compiled(tmp_path, f"-fsanitize={sanitizer}", "-fno-sanitize-recover", "-g"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("vectors.h", "(x - gate.centre) * gate.a - gate.rest_a", "(x - gate.centre) * gate.a"),
        ("planes_body.h", "total += fresh ? end - shift : Vec{};", "total += end - shift;"),
        ("vectors.h", "static_cast<double>(hw) - 1.0", "static_cast<double>(hw)"),
        ("vectors.h", "y = y < job.low ? all<Lanes>(job.low) : y;", ""),
        ("planes_body.h", "std::int64_t const start = number * job.hw",
         "int const start = static_cast<int>(number * job.hw)"),
        ("typed.cpp", "0x7fffU + ((bits >> 16) & 1U)", "0U"),
        ("typed.cpp", "(value.bits) << 16", "(value.bits) << 15"),
        ("blocks_body.h", "there ? y : Floats<Lanes>{}", "y"),
        ("blocks_body.h", "(s[0] + s[1]) + (s[2] + s[3])", "(s[0] + s[1]) + s[2]"),
        ("blocks_body.h", "lane < kChannels; lane += kStrip", "lane < kStrip; lane += kStrip"),
        ("blocks_body.h", "gate.rest_a = __builtin_convertvector(rest, V) * gate.a;", ""),
        ("blocks_body.h", "start = number * job.hw * kChannels + lane",
         "start = static_cast<int>(number * job.hw * kChannels) + lane"),
    ],
)  # fmt: skip
def test_a_planted_fault_is_seen(file, right, wrong, tmp_path):
    assert ran(compiled(tmp_path, change=(file, right, wrong))).returncode != 0
