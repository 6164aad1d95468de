"""Tables that grow as rows are measured."""

import re

import pytest
import run_all
from tables import appended, recorded, stand_in

ROWS = [{"a": 1, "b": "x"}, {"a": 2}]


def test_what_was_measured_before_a_stop_is_there(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("of an older run\n")
    for row in recorded(table, ("a", "b"), ROWS):
        if row["a"] == 1:
            assert table.read_text() == "a,b\n1,x\n"
    assert list(appended(table, ("a", "b"), [{"a": 3}])) == [{"a": 3}]
    assert table.read_text() == "a,b\n1,x\n2,\n3,\n"


def test_what_stands_in_a_table_is_not_measured_again(tmp_path):
    table = tmp_path / "table.csv"
    assert stand_in(table, ("a",)) == set()
    assert list(recorded(table, ("a", "b"), ROWS)) == ROWS
    assert stand_in(table, ("a", "b")) == {("1", "x"), ("2", "")}
    assert stand_in(table, ("b",)) == {("x",), ("",)}


def test_without_a_table_rows_are_passed_on():
    assert list(recorded(None, ("a", "b"), ROWS)) == ROWS


@pytest.mark.parametrize("script", sorted(run_all.SCRIPTS.rglob("*.py")), ids=lambda p: p.stem)
def test_no_bench_s_table_is_a_device_by_default(script):
    """A table is removed before it is begun anew: root had no /dev/null any more."""
    assert not re.search(r'"--csv".*devnull', script.read_text())
