"""Every table has its bench, and a run of all goes on where it was stopped."""

from pathlib import Path

import pytest
import run_all
from run_all import BENCHES, Bench

WRITES = """
import sys
from pathlib import Path
with open({log!r}, "a") as log:
    log.write({name!r} + " ")
place = Path(sys.argv[sys.argv.index("--csv") + 1])
place.write_text("a\\n1\\n")
sys.exit({code})
"""


def test_every_table_has_one_bench():
    written = [table for bench in BENCHES for table in bench.written]
    assert len(set(written)) == len(written)
    there = [path.relative_to(run_all.RESULTS) for path in run_all.RESULTS.rglob("*.csv")]
    assert {path.with_suffix("").as_posix() for path in there} <= set(written)


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.name)
def test_every_bench_is_there_and_takes_what_it_is_given(bench):
    script = (run_all.SCRIPTS / f"{bench.name}.py").read_text()
    assert f'"{"--out" if len(bench.written) > 1 else "--csv"}"' in script
    assert set(bench.needs) <= {"other", *run_all.NEEDS}


def test_every_script_that_writes_a_table_is_run():
    known = {bench.name for bench in BENCHES}
    for path in run_all.SCRIPTS.glob("*.py"):
        if '"--csv"' in path.read_text() and path.name != "run_all.py":
            assert path.stem in known, f"{path.name} writes a table: name it in run_all.py"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("SCRIPTS", "RESULTS", "WORK"):
        monkeypatch.setattr(run_all, name, tmp_path / name.lower())
        (tmp_path / name.lower()).mkdir()
    return tmp_path


def script(folder: Path, name: str, code: int = 0) -> None:
    log = str(folder / "log")
    (folder / "scripts" / f"{name}.py").write_text(WRITES.format(log=log, name=name, code=code))


def test_the_cheapest_first_and_what_was_made_not_again(folder, capsys):
    benches = [Bench("long", 9), Bench("short", 1), Bench("far", 3, ("other",))]
    for name in ("short", "far"):
        script(folder, name)
    script(folder, "long", code=1)
    (folder / "results" / "long.csv").write_text("old")
    assert run_all.run_all(benches, None, again=False) == ["long"]
    assert (folder / "log").read_text() == "short long "
    assert (folder / "results" / "long.csv").read_text() == "old"
    assert (folder / "results" / "short.csv").read_text() == "a\n1\n"
    assert (
        "far: skipped: compares with another checkout: name it by --oth" in capsys.readouterr().out
    )
    script(folder, "long")
    assert run_all.run_all(benches, folder, again=False) == []
    assert (folder / "log").read_text() == "short long far long "
    assert "short: made at this commit already" in capsys.readouterr().out
    assert (folder / "results" / "long.csv").read_text() == "a\n1\n"
    run_all.run_all(benches[1:2], None, again=True)
    assert (folder / "log").read_text() == "short long far long short "


SEVERAL = """
import sys
from pathlib import Path
place = Path(sys.argv[sys.argv.index("--out") + 1])
place.mkdir(parents=True, exist_ok=True)
for name in {names!r}:
    (place / name).write_text("a\\n1\\n")
sys.exit({code})
"""


@pytest.mark.parametrize(("code", "taken"), [(0, True), (3, True), (1, False)])
def test_several_tables_in_a_folder_are_taken_together(folder, code, taken):
    bench = Bench("parts", 1, tables=("gpu/one", "gpu/two"), codes=(0, 3))
    text = SEVERAL.format(names=["one.csv", "two.csv"], code=code)
    (folder / "scripts" / "parts.py").write_text(text)
    assert run_all.run_all([bench], None, again=False) == ([] if taken else ["parts"])
    made = sorted(path.name for path in (folder / "results").rglob("*.csv"))
    assert made == (["one.csv", "two.csv"] if taken else [])


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setitem(run_all.NEEDS, "gpu", lambda: "needs a GPU")
    assert run_all.missing(Bench("x", 1, ("gpu",)), None) == "needs a GPU"
    assert run_all.missing(Bench("x", 1), None) == ""
