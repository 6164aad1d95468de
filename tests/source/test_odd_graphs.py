"""Any odd file: a result or one clear line, a documented exit code, and nothing half-written.

A child process runs them, so that a library that aborts its process would be seen.
"""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.marks import slow

MEMORY = 8 << 30
"""Bytes of address space: a file of 10 kB that asks for more fails here."""
PACK = 6
"""Files that one child runs."""
WAYS = {
    "inspect": ["inspect", "{source}"],
    "fp32": ["export", "{source}", "-q", "-o", "{out}/m.onnx"],
    "fp16": ["export", "{source}", "-q", "-o", "{out}/m.onnx", "--precision", "fp16"],
    "validate": ["validate", "{source}", "{source}", "-q"],
}
A_CHILD = """
import contextlib, io, json, sys, traceback
from importlib import import_module
from pathlib import Path
from simam_deploy.runtime import onnx_runner
from tests.source.odd_graphs import odd_file

onnx_runner.LONGEST_RUN = 2.0
folder, ways = Path(sys.argv[1]), json.loads(sys.argv[2])
for seed in range(int(sys.argv[3]), int(sys.argv[4])):
    for way, (name, *words) in ways.items():
        here = folder / f"{seed}-{way}"
        here.mkdir()
        (here / "theirs.onnx").write_bytes(odd_file(seed))
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            try:
                argv = [w.format(source=here / "theirs.onnx", out=here / "out") for w in words]
                code = import_module(f"simam_deploy.cli.{name}").main(argv)
            except BaseException:
                code = traceback.format_exc()
        left = sorted(str(p.relative_to(here)) for p in here.rglob("*") if p.is_file())
        print(json.dumps([seed, way, code, said.getvalue(), left]), flush=True)
"""


def run(first: int, last: int, folder: Path) -> list[list]:
    limits = (MEMORY, MEMORY)
    child = subprocess.run(
        [sys.executable, "-c", A_CHILD, str(folder), json.dumps(WAYS), str(first), str(last)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limits),
    )
    told = [json.loads(line) for line in child.stdout.splitlines()]
    assert child.returncode == 0, (told[-1:], child.stderr[-2000:])
    return told


@pytest.mark.parametrize("first", [0, *slow(range(PACK, 120, PACK))])
def test_odd_files_give_a_result_or_one_line(first, tmp_path):
    told = run(first, first + PACK, tmp_path)
    assert len(told) == PACK * len(WAYS)
    for seed, way, code, said, left in told:
        assert code in (0, 1, 2, 3), (seed, way, code)
        if code:
            assert said.startswith("simam: error: "), (seed, way, said)
            assert said.count("\n") == 1, (seed, way, said)
            report = ["out/m.failed.json"] if code == 3 and "figures are in" in said else []
            assert left == [*report, "theirs.onnx"], (seed, way)
