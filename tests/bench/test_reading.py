"""A report of simam-bench read back: the records it was, and one line where it is none."""

import json

import pytest

from simam_deploy.bench.reading import read_bench
from simam_deploy.errors import InputError
from tests.report.page.made import bench


@pytest.fixture
def written(tmp_path):
    def write(document):
        path = tmp_path / "bench.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    return write


def test_what_was_written_is_read(written):
    assert read_bench(written(bench().to_json())) == bench()


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (["subjects"], 3, "it.subjects is 3"),
        (["subjects", 0, "name"], None, r"it.subjects\[0\].name is None"),
        (["subjects", 0, "batches", 0, "times", "p50_ms"], "2", "p50_ms is '2', not of type float"),
        (["subjects", 0, "batches", 0, "times", "p50_ms"], 1e300, "p50_ms is 1e\\+300"),
        (["rooflines", 0, "sites"], {}, "sites is {}"),
        (["circumstances"], [], r"circumstances is \[\], not an object"),
        (["interrupted"], 1, "interrupted is 1, not of type bool"),
    ],
)
def test_what_is_edited_is_one_line_that_names_the_place(written, place, value, says):
    document = bench().to_json()
    *way, last = place
    part = document
    for step in way:
        part = part[step]
    part[last] = value
    with pytest.raises(InputError, match=says) as caught:
        read_bench(written(document))
    assert "no report of simam-bench in JSON" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "null", '{"schema": 1}', "{" * 100_000, "NaN"])
def test_other_files_are_one_line(written, text):
    with pytest.raises(InputError) as caught:
        read_bench(written(text))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_bench(tmp_path / "no.json")
