"""Parts that fail, hang, die or are cut leave their rows and a reason, and the next one goes on."""

import csv
import dataclasses
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from gpu.conduct import AT_LIMIT, conduct
from gpu.part import Journal, Part, Run, go_on
from gpu.setting import Setting

HERE = Path(__file__).parent
MINUTES = 5
FIRST = {"date": "first", "gpu": "GPU", "driver": "1", "with": "code 1"}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("MISBEHAVING", "")
    return Run(tmp_path, FIRST, Setting(work=tmp_path))


@pytest.fixture
def limit(run, monkeypatch):
    """Have the clock say, while the process that `hangs` starts is there, that its time is over."""
    real, child = time.monotonic, run.out / "child"

    def clock():
        hanging = child.exists() and child.read_text() and not is_gone(int(child.read_text()), 1)
        return real() + 60 * MINUTES * hanging

    monkeypatch.setattr("gpu.conduct.time", SimpleNamespace(monotonic=clock))


def part(of):
    return Part(of, MINUTES, "table", "misbehaving", ("cell",), ("value",), "nothing", of=of)


def shown(parts, run, minutes=60):
    return [(o.part, o.state, o.why) for o in conduct(parts, run, minutes)]


def rows(run, name="table"):
    with (run.out / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def values(run, of):
    return [(r["cell"], r["value"], r["why"]) for r in rows(run) if r["part"] == of]


def log(run):
    """Give the cells that were begun, by process."""
    return (run.out / "log").read_text().split()


def later(run, **changed):
    return dataclasses.replace(run, stamp={**run.stamp, "date": "later", **changed})


def test_what_goes_well_is_shown_with_who_and_where(run):
    assert shown([part("well")], run) == [("well", "shown", "")]
    assert values(run, "well") == [("a", "A", ""), ("b", "B", ""), ("c", "C", "")]
    assert all({k: r[k] for k in FIRST} == FIRST for r in (*rows(run), *rows(run, "parts")))
    (told,) = rows(run, "parts")
    told = [told[column] for column in ("of", "state", "cells", "right")]
    assert told == ["well", "shown", "3", "yes"]


def test_a_cell_that_fails_leaves_a_line_and_the_next_gets_a_new_process(run):
    why = "ValueError: a figure that is none"
    outcomes = shown([part("raises"), part("well")], run)
    assert outcomes[0] == ("raises", "failed", f"1 without figures, the first: {why}")
    assert outcomes[1][1] == "shown"
    assert values(run, "raises") == [("a", "A", ""), ("b", "", why), ("c", "C", "")]
    a, b, c = log(run)[:3]
    assert a[1:] == b[1:] != c[1:]


@pytest.mark.parametrize(
    ("of", "why"),
    [
        ("dies", "its process was ended by SIGKILL"),
        ("leaves", "its process ended with exit code 3"),
    ],
)
def test_a_process_that_ends_leaves_a_line_and_the_rest_is_measured(of, why, run):
    assert [o[:2] for o in shown([part(of), part("well")], run)] == [
        (of, "failed"),
        ("well", "shown"),
    ]
    assert values(run, of) == [("a", "A", ""), ("b", "", why), ("c", "C", "")]


def test_one_that_hangs_is_cut_with_all_that_it_started(run, limit):
    outcomes = shown([part("hangs"), part("well")], run)
    assert outcomes == [("hangs", "cut", AT_LIMIT), ("well", "shown", "")]
    assert values(run, "hangs") == [("a", "A", ""), ("b", "", AT_LIMIT)]
    assert is_gone(int((run.out / "child").read_text()))


def is_gone(process, looks=100):
    """Tell whether a process ends; one that nobody waited for is a zombie."""
    for _ in range(looks):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_the_journal_names_the_cell_that_is_on_and_no_other(run, monkeypatch):
    """What ends a process between two cells does not touch the rows of the first."""
    import misbehaving

    journal, said = Journal(run.out / "journal"), []
    monkeypatch.setattr(misbehaving, "misbehave", lambda setting: said.append(journal.read()))
    assert go_on(part("well"), run, journal) == 0
    assert (said, journal.read()) == ([{"cell": ["b"]}], {})


def test_what_a_library_does_at_its_end_costs_nothing(run):
    assert shown([part("ends")], run) == [("ends", "shown", "")]


def test_no_part_is_begun_when_the_time_is_up(run):
    outcomes = shown([part("well")], run, minutes=0.01)
    assert outcomes == [("well", "cut", "none of the 0.01 minutes was left")]
    assert rows(run, "parts")[0]["why"] == outcomes[0][2]
    assert not (run.out / "table.csv").exists()


def test_what_is_wrong_is_said(run):
    assert shown([part("lies")], run) == [("lies", "wrong", "1 of 3 rows are wrong")]
    assert rows(run, "parts")[0]["right"] == "no"


def test_what_is_skipped_says_why_and_is_looked_at_again(run):
    why = "needs a thing, which is missing"
    for _ in range(2):
        assert shown([part("skips")], run) == [("skips", "skipped", why)]
        assert values(run, "skips") == [("", "", f"skipped: {why}")]
    (run.out / "mended").touch()
    assert shown([part("skips")], run) == [("skips", "shown", "")]
    assert values(run, "skips") == [("a", "A", ""), ("b", "B", ""), ("c", "C", "")]


def test_one_without_cells_has_shown_nothing(run):
    assert shown([part("idles")], run) == [("idles", "failed", "it has nothing to show")]


def test_one_that_does_not_begin_says_why(run, monkeypatch):
    monkeypatch.setenv("MISBEHAVING", "at import")
    assert shown([part("well")], run) == [("well", "failed", "RuntimeError: broken at import")]
    monkeypatch.setenv("MISBEHAVING", "")
    assert shown([part("well")], later(run)) == [("well", "shown", "")]


def test_what_was_shown_is_not_shown_again_but_for_other_versions_or_gpus(run):
    shown([part("well")], run)
    assert shown([part("well")], later(run)) == [("well", "shown", "on first")]
    assert len(log(run)) == 3
    for changed in ({"with": "code 2"}, {"driver": "2"}, {"gpu": "other"}):
        assert shown([part("well")], later(run, **changed)) == [("well", "shown", "")]
    assert len(log(run)) == 12
    assert [r["gpu"] for r in rows(run)] == ["GPU"] * 3 + ["other"] * 3
    shown([part("well")], dataclasses.replace(later(run, gpu="other", date="last"), again=True))
    assert len(log(run)) == 15


@pytest.mark.parametrize("of", ["raises", "hangs"])
def test_one_that_was_cut_or_failed_goes_on_where_it_was(of, run, limit):
    shown([part(of)], run)
    begun = len(log(run))
    (run.out / "mended").touch()
    assert shown([part(of)], later(run)) == [(of, "shown", "")]
    again = [cell[0] for cell in log(run)[begun:]]
    assert again == (["b"] if of == "raises" else ["c", "b"])
    assert [v[:2] for v in sorted(values(run, of))] == [("a", "A"), ("b", "B"), ("c", "C")]


def test_what_hung_is_tried_again_behind_what_was_not_tried(run, limit):
    for stamp in (run, later(run)):
        (run.out / "child").unlink(missing_ok=True)
        assert shown([part("hangs")], stamp) == [("hangs", "cut", AT_LIMIT)]
    assert [cell[0] for cell in log(run)] == ["a", "b", "c", "b"]
    assert sorted(values(run, "hangs")) == [("a", "A", ""), ("b", "", AT_LIMIT), ("c", "C", "")]


def test_a_cell_of_which_a_row_has_no_figures_is_measured_again(run):
    (outcome,) = shown([part("halves")], run)
    assert outcome[1:] == ("failed", "1 without figures, the first: a form that is not taken")
    assert [v for v in values(run, "halves") if v[0] == "b"] == [
        ("b", "", "a form that is not taken"),
        ("b", "B", ""),
    ]
    (run.out / "mended").touch()
    assert shown([part("halves")], later(run)) == [("halves", "shown", "")]
    assert [cell[0] for cell in log(run)] == ["a", "b", "c", "b"]


INTERRUPTED = """
import signal
import sys
sys.path[:0] = {paths!r}
import gpu_all
from pathlib import Path
from gpu.part import Part, Run
from gpu.setting import Setting

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    part = Part("hangs", 5, "table", "misbehaving", ("cell",), ("value",), "nothing", of="hangs")
    run = Run(Path({out!r}), {stamp!r}, Setting(work=Path({out!r})))
    sys.exit(gpu_all._attended([part, part], run, 5))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_is_interrupted_keeps_what_it_has(number, run, launch, tmp_path):
    bench = Path(__file__).parents[3] / "scripts" / "bench"
    script = tmp_path / "interrupted.py"
    paths = [str(HERE), str(bench), str(bench.parents[1])]
    script.write_text(INTERRUPTED.format(paths=paths, out=str(run.out), stamp=FIRST))
    child = launch([sys.executable, str(script)], env={**os.environ, "MISBEHAVING": ""})
    while not (run.out / "child").exists():
        assert child.poll() is None, child.communicate()
        time.sleep(0.05)
    child.send_signal(number)
    out, err = child.communicate()
    assert (child.returncode, err) == (130, "gpu_all: interrupted; what was measured is kept\n")
    assert values(run, "hangs") == [("a", "A", ""), ("b", "", "interrupted")]
    (told,) = rows(run, "parts")
    assert (told["state"], told["why"]) == ("cut", "interrupted")
    assert out.endswith(f"tables: {run.out}\n")
    assert is_gone(int((run.out / "child").read_text()))
