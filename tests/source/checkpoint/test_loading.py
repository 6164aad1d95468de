import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as safetensors_bytes
from safetensors.torch import save_file

from simam_deploy import errors
from simam_deploy.errors import CheckpointError
from simam_deploy.source.checkpoint import load_checkpoint

MIB = 2**20

# VmHWM and VmPeak: ru_maxrss would start at the parent's, which it inherits through exec.
MEASURE = """
import json, sys, time
from pathlib import Path
from simam_deploy.source.checkpoint import load_checkpoint
from simam_deploy.errors import CheckpointError

def peaks():
    lines = Path("/proc/self/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in lines)
    return [int(values[name].split()[0]) * 1024 for name in ("VmHWM", "VmPeak")]

load_checkpoint(sys.argv[1])  # what the first load imports is not counted
for path in sys.argv[2:]:
    before, start = peaks(), time.process_time()
    try:
        kept = load_checkpoint(path)
        message = ""
    except CheckpointError as error:
        message = str(error)
    seconds = time.process_time() - start
    resident, virtual = (after - first for after, first in zip(peaks(), before))
    print(json.dumps([message, seconds, resident, virtual]))
"""


@pytest.fixture
def measure(tmp_path, weights):
    """Load files in a fresh process; per file: message, seconds, growth in resident, virtual."""
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc, which only Linux has")
    torch.save(weights, tmp_path / "first.pth")

    def run(*paths):
        command = [sys.executable, "-c", MEASURE, str(tmp_path / "first.pth"), *map(str, paths)]
        root = str(Path(errors.__file__).parents[1])
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env={"PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def test_every_fact(save, weights):
    path = save({"state_dict": {f"module.{k}": v for k, v in weights.items()}, "epoch": 1})
    checkpoint = load_checkpoint(str(path))
    assert checkpoint.path == path
    assert checkpoint.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert checkpoint.size == path.stat().st_size
    assert checkpoint.entry == "state_dict"
    assert checkpoint.notes == ("prefix module.",)
    assert list(checkpoint.weights) == list(weights)
    with pytest.raises(dataclasses.FrozenInstanceError):
        checkpoint.entry = "x"


def test_notes_in_order(save, weights):
    halves = {f"module.{k}": v.half() if v.is_floating_point() else v for k, v in weights.items()}
    counters = {"module.layer0.total_ops": torch.zeros(1, dtype=torch.float64)}
    path = save({"model": halves, "model_ema": {**halves, **counters}})
    assert load_checkpoint(path).notes == (
        "model_ema preferred over model",
        "1 thop counters",
        "prefix module.",
        "8 float16 tensors made float32",
    )


def test_a_symbolic_link_is_followed(save, weights, tmp_path):
    (tmp_path / "link.pth").symlink_to(save(weights))
    assert load_checkpoint(tmp_path / "link.pth").weights.keys() == weights.keys()


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_a_name_that_is_no_utf_8(kind, weights, tmp_path):
    path = tmp_path / os.fsdecode(b"\xff\xfe.pth")
    with path.open("wb") as file:
        if kind == "safetensors":
            file.write(safetensors_bytes(weights))
        else:
            torch.save(weights, file, _use_new_zipfile_serialization=kind == "zip")
    read = load_checkpoint(path)
    assert read.path == path
    assert read.weights.keys() == weights.keys()
    assert all(torch.equal(read.weights[key], value) for key, value in weights.items())


def test_odd_file_names_stay_on_one_line(tmp_path):
    path = tmp_path / "a\nb\x1b[31m.pth"
    path.write_bytes(b"")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert str(caught.value) == "a?b?[31m.pth: is empty (0 bytes): copy or download it again"
    assert caught.value.__suppress_context__


def test_long_names_in_a_file_are_cut(forge, tmp_path):
    path = forge.zip(tmp_path / "model.pth", forge.name("a." + "b" * 5000))
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert len(str(caught.value)) <= 600


@pytest.mark.parametrize("layout", ["one tensor", "many", "safetensors"])
def test_memory_stays_near_the_file(tmp_path, measure, layout):
    path = tmp_path / "model.pth"
    count = 1 if layout == "one tensor" else 50
    value = {f"layer{i}.weight": torch.ones(100 * MIB // 4 // count) for i in range(count)}
    if layout == "safetensors":
        save_file(value, path)
    else:
        torch.save(value, path)
    del value
    [(message, _, resident, _)] = measure(path)
    size = path.stat().st_size
    path.unlink()
    assert message == ""
    assert resident < 1.3 * size


def hostile(forge, folder):
    """Small files that claim much, or that end a process that believes them."""
    claim = 1 << 40
    tensor = forge.tensor(forge.storage(claim), (claim,))
    view = forge.tensor(forge.storage(4), (claim,), (0,))
    grow = forge.tensor(forge.storage(4), (4,), (claim,))
    double = b"c_codecs\nencode\n" + forge.text("A" * 64) + forge.text("latin1") + b"\x86Rq\x01"
    for index in range(1, 22):
        double += b"c_codecs\nencode\n" + bytes([ord("h"), index]) + forge.text("hex")
        double += b"\x86R" + bytes([ord("q"), index + 1])
    bodies = {
        "storage": forge.state_dict(tensor),
        "view": forge.state_dict(view),
        "stride": forge.state_dict(grow),
        "untyped": forge.call("torch.storage.UntypedStorage", forge.number(1 << 28)),
        "bytearray": forge.call("__builtin__.bytearray", forge.number(1 << 28)),
        "float": forge.call("torch.FloatTensor", forge.number(1 << 26)),
        "double": double,
        "key": b"}" + b")" + b"\x85" * 100_000 + b"Ns",
        "copies": b"]("
        + b"K\x01" * 3000
        + b"e\x85q\x01c__builtin__\nset\nq\x02"
        + b"h\x02h\x01R" * 3000,
    }
    for name, body in bodies.items():
        yield forge.zip(folder / f"{name}.zip.pth", body, {"0": bytes(16)})
        yield forge.legacy(folder / f"{name}.old.pth", body, {"0": (4, bytes(16))})
    header = b'{"a":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}' % (claim, 4 * claim)
    path = folder / "storage.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    yield path


def test_hostile_files_take_no_memory(forge, tmp_path, measure):
    paths = list(hostile(forge, tmp_path))
    results = measure(*paths)
    assert len(results) == len(paths)
    for path, (message, seconds, resident, virtual) in zip(paths, results, strict=True):
        assert message.startswith(path.name), path.name
        assert seconds < 1, path.name
        assert resident < 16 * MIB, path.name
        assert virtual < 64 * MIB, path.name
