"""URLs, missing files and places that cannot be written: one line, before any work."""

import subprocess
import sys

import pytest

from simam_deploy.cli import main

TAKES = {
    "export": "export {} -q",
    "bench": "bench {}",
    "build": "build {}",
    "explain": "explain {} p.png -o out.png",
    "inspect": "inspect {}",
    "report": "report out.html {}",
    "serve": "serve {}",
    "named": "serve digits={}",
    "reference": "validate {} m.onnx",
    "candidate": "validate m.onnx {}",
    "picture": "explain m.onnx {} -o out.png",
    "image": "report out.html m.onnx --image {}",
    "data": "validate m.onnx m.onnx --data {}",
    "calibration": "export m.pth --calibration-data {} --precision int8",
    "labels": "export m.pth --labels {}",
    "output": "export m.pth -o {}",
    "page": "export m.pth --report {}",
}


def told(words, capsys):
    """Run a command that is refused; gives its one line."""
    assert main(words) == 1
    said = capsys.readouterr().err
    assert said.startswith("simam: error: ")
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize("words", TAKES.values(), ids=TAKES)
def test_a_url_is_told_what_to_do(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = "https://example.org/a/model.pth?x=1&y=2"
    said = told([word.format(url) for word in words.split()], capsys)
    assert f"download it first (curl -LO '{url}')" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("http://a.org/m.pth", "(curl -LO http://a.org/m.pth)"),
        ("HTTPS://a.org/m.pth", "(curl -LO HTTPS://a.org/m.pth)"),
        ("s3://bucket/m.pth", "(aws s3 cp s3://bucket/m.pth .)"),
        ("gs://bucket/m.pth", "(gcloud storage cp gs://bucket/m.pth .)"),
        ("hf://org/name", "(hf download org/name --local-dir .)"),
        ("file:///a/b c.pth", "name it as '/a/b c.pth'"),
        ("file://host/a.pth", "name it as /a.pth"),
        ("ftp://a.org/m.pth", "copy it here first"),
        ("https://a.org/$(touch x).pth", "(curl -LO 'https://a.org/$(touch x).pth')"),
        ("-", "not from stdin"),
    ],
)
def test_what_is_done_with_it(url, advice, capsys):
    assert advice in told(["inspect", url], capsys)


def test_a_name_with_a_colon_is_a_file(capsys):
    assert "no such file" in told(["inspect", "c:m.onnx"], capsys)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("validate {m} {m} --data none", "cannot read none: No such file or directory (--data)"),
        ("validate {m} {m} --data {empty}", "is an empty folder (--data)"),
        ("export {m} --labels none.txt", "(--labels)"),
        ("export {m} --precision int8 --calibration-data {empty}", "(--calibration-data)"),
        ("explain {m} none.png -o e.png", "cannot read none.png: No such file or directory"),
        ("export {m} -o {m}/in/m.onnx", "is no folder (--output)"),
        ("export {m} --report {m}/r.html", "is no folder (--report)"),
        ("validate {m} {m} --plot {m}/p.html", "is no folder (--plot)"),
        ("bench {m} --csv {m}/t.csv", "is no folder (--csv)"),
        ("explain {m} {m} -o {m}/e.png", "is no folder (--output)"),
        ("report {m}/r.html {m}", "is no folder"),
    ],
)
def test_what_is_missing_is_found_before_torch_is_loaded(words, says, tmp_path):
    model = tmp_path / "m.pth"
    model.write_bytes(b"never read")
    (tmp_path / "empty").mkdir()
    done = _alone(words.format(m=model, empty=tmp_path / "empty").split(), ())
    assert says in done.stderr
    assert done.stdout == "1 False\n"


def test_two_outputs_of_one_name_are_refused(capsys, tmp_path):
    page = str(tmp_path / "p.html")
    assert main(["validate", "m.onnx", "m.onnx", "--plot", page, "--report", page]) == 2
    assert capsys.readouterr().err == (
        "simam: error: two outputs have one name (--report, --plot)\n"
    )


@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        ("PIL", "export {m} --data {pictures}"),
        ("PIL", "export {m} --precision int8 --calibration-data {pictures}"),
        ("PIL", "validate {m} {m} --data {pictures}"),
        ("PIL", "bench {m} --data {pictures}"),
        ("PIL", "explain {m} {pictures}/a.png -o e.png"),
        ("PIL", "report r.html {m} --image {pictures}/a.png"),
        ("matplotlib", "report r.html m.onnx"),
        ("matplotlib", "export {m} --report r.html"),
        ("onnxruntime", "export {m}"),
        ("onnxruntime", "validate {m} {m}"),
        ("uvicorn", "serve {m}"),
        ("tensorrt", "build {m} --backend tensorrt"),
        ("tensorrt_rtx", "build {m} --backend rtx"),
    ],
)
def test_a_missing_extra_is_found_before_torch_is_loaded(lacking, words, tmp_path):
    model = tmp_path / "m.pth"
    model.write_bytes(b"never read")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"never read")
    done = _alone(words.format(m=model, pictures=tmp_path / "pictures").split(), (lacking,))
    assert "pip install 'simam-deploy[" in done.stderr
    assert done.stdout == "1 False\n"


def _alone(words, lacking):
    """Run a command in a process of its own, which says its code and whether torch was loaded."""
    code = f"""import sys
for name in {lacking!r}:
    sys.modules[name] = None
from simam_deploy.cli import main
print(main({words!r}), "torch" in sys.modules)"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
