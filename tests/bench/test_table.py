"""A table that grows by rows."""

import csv

import pytest

from simam_deploy.bench.records import Circumstances
from simam_deploy.bench.table import Table
from simam_deploy.errors import InputError

HERE = Circumstances("2026-01-01T00:00:00+00:00", "a, machine", None, {"python": "3.11"}, 1)


def read(file):
    with file.open(newline="") as table:
        return list(csv.DictReader(table))


def test_rows_are_there_as_soon_as_they_are_added_and_later_ones_go_behind(tmp_path):
    file = tmp_path / "t.csv"
    table = Table(file, ("x",), HERE)
    table.add([{"x": 1}])
    assert len(read(file)) == 1
    Table(file, ("x",), HERE).add([{"x": "two, with a comma"}])
    rows = read(file)
    assert [row["x"] for row in rows] == ["1", "two, with a comma"]
    assert rows[0]["machine"] == "a, machine"
    assert rows[0]["date"] == HERE.date


def test_another_table_is_left_alone(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("somebody,else\n1,2\n")
    with pytest.raises(InputError, match="holds another table"):
        Table(file, ("x",), HERE)
    assert file.read_text() == "somebody,else\n1,2\n"


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        Table(tmp_path / "none" / "t.csv", ("x",), HERE)
