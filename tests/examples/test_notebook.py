"""examples/notebook: run as its reader does, it prints and draws what is stored in it."""

import os
import sys
from pathlib import Path

import nbformat
import psutil
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.readmes import Shown

NOTEBOOK = Path(__file__).parent.parent.parent / "examples" / "notebook" / "simam.ipynb"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, with the commands on the path; whatever still runs there is ended."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    yield tmp_path
    left = [process for process in psutil.process_iter() if _folder_of(process) == tmp_path]
    for process in left:
        process.kill()
    assert left == []


def _folder_of(process):
    try:
        return Path(process.cwd())
    except psutil.Error:  # gone, or not ours to look at
        return None


def execute(notebook, folder):
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=200, kernel_name="python3", resources=resources)
    return client.execute()


def compare(notebook, shown):
    """Hold what the cells give against what is stored: its lines, and that there is a picture."""
    for cell, kept in zip(notebook.cells, shown.cells, strict=True):
        given, wanted = _given(cell), _given(kept)
        assert given.keys() == wanted.keys()
        for kind, text in wanted.items():
            Shown(cell.source, tuple(text.splitlines())).check(given[kind])
            assert len(given[kind].splitlines()) == len(text.splitlines())


def _given(cell):
    """What a cell gives, by its kind; of a picture that it is there."""
    given = {}
    for output in cell.get("outputs", ()):
        assert output.output_type != "error"
        if "image/png" in output.get("data", {}):
            given["picture"] = ""
        else:
            kind = output.get("name", "result")
            text = output.text if "text" in output else output.data["text/plain"]
            given[kind] = given.get(kind, "") + text
    return given


def test_it_prints_what_is_stored_and_leaves_no_server(folder):
    shown = nbformat.read(NOTEBOOK, as_version=4)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    compare(execute(notebook, folder), shown)
    written = {path.name for path in folder.iterdir()}
    assert {"digits.onnx", "digits.fp16.onnx", "digits.int8.onnx", "digits.html"} <= written


def test_it_is_stored_with_what_it_gave_and_names_nobodys_folders():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    given = [_given(cell) for cell in cells]
    assert sum(bool(each) for each in given) >= 10
    assert not any("/home" in text or "/tmp" in text for each in given for text in each.values())


@pytest.mark.parametrize(
    ("source", "stored", "seen"),
    [
        ("print('accuracy 97.2% of 360')", "accuracy 98.0% of 360\n", False),
        ("print('accuracy 97.2% of 360')", "accuracy 97.2% of 350\n", True),
        ("print('one'); print('two')", "one\n", True),
        ("pass", "one\n", True),
    ],
)
def test_a_planted_difference_is_seen(source, stored, seen, folder):
    ran = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    kept = nbformat.v4.new_code_cell(source)
    kept.outputs = [nbformat.v4.new_output("stream", name="stdout", text=stored)]
    execute(ran, folder)
    shown = nbformat.v4.new_notebook(cells=[kept])
    if not seen:
        compare(ran, shown)
        return
    with pytest.raises(AssertionError):
        compare(ran, shown)


def test_a_cell_that_fails_is_an_error(folder):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    with pytest.raises(CellExecutionError):
        execute(notebook, folder)
