"""`simam report`, and `--report` of other commands: what a shell sees of them."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from simam_deploy.cli import bench, export, report, validate
from simam_deploy.graph.file.write import write_model
from simam_deploy.graph.prepare import plain
from tests.graph.onnx_text import model


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A file of somebody's whose site is called by markup."""
    file = tmp_path_factory.mktemp("made") / "net.onnx"
    weights = np.random.default_rng(0).standard_normal((3, 3, 1, 1)).astype(np.float32)
    text = """<ir_version: 8, opset_import: ["" : 18, "simam" : 1]>
        g (float[n,3,8,8] x) => (float[n,3,8,8] y) {
        a = Conv(x, w)
        [site] y = simam.SimAM<e_lambda = 0.1>(a) }"""
    graph = model(text, w=weights)
    graph.graph[1].name = "<script>alert(1)</script>"
    write_model(plain(graph), file)
    return file


@pytest.fixture
def net(made, tmp_path):
    return shutil.copy(made, tmp_path / "net.onnx")


def test_the_page_is_about_the_file_named_as_it(net, capsys):
    page = net.with_suffix(".html")
    assert report.main([str(page), "-q"]) == 0
    streams = capsys.readouterr()
    assert streams.out == f"{page}\n"
    assert streams.err == ""
    text = page.read_text()
    assert text.startswith("<!doctype html>")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script" not in text
    assert sorted(p.name for p in net.parent.iterdir()) == ["net.html", "net.onnx"]


def test_it_says_its_command_and_no_folder(net):
    page = net.with_name("o.html")
    assert report.main([str(page), str(net), "--preprocess=imagenet", "-q"]) == 0
    assert "simam-report o.html net.onnx --preprocess=imagenet -q" in page.read_text()
    assert str(net.parent) not in page.read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["o.html"], "there is no o.onnx: name the .onnx or engine"),
        (["o.txt", "net.onnx"], "must be named .html"),
        (["net.onnx"], "there is no net.onnx"),
        (["o.html", "m.pth"], "about an .onnx or a plan"),
        (["o.html", "net.onnx", "--input-shape", "1x4x8x8"], "does not fit input"),
    ],
)
def test_usage_errors_exit_2_and_leave_nothing(net, monkeypatch, capsys, words, says):
    monkeypatch.chdir(net.parent)
    if words == ["net.onnx"]:
        net.unlink()
    assert report.main([*words, "-q"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert says in lines[0]
    assert not list(net.parent.glob("*.html"))


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (["no.onnx"], "no such file"),
        (["text.onnx"], "text.onnx"),
        (["net.onnx", "bench.json"], "bench.json"),
        (["net.onnx", "no.json"], "no such file"),
        (["net.onnx", "no.pth"], "no.pth"),
        (["net.onnx", "no.engine"], "no.engine"),
        (["net.onnx", "--image", "text.jpg", "--preprocess", "imagenet"], "cannot be decoded"),
        (["net.onnx", "--image", "no.jpg", "--preprocess", "imagenet"], "no.jpg"),
    ],
)
def test_what_cannot_be_used_exits_1_with_one_line(net, monkeypatch, capsys, files, says):
    monkeypatch.chdir(net.parent)
    for name in ("text.onnx", "bench.json", "text.jpg"):
        (net.parent / name).write_text("this is none")
    assert report.main(["o.html", *files, "-q"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert says in lines[0]
    assert not (net.parent / "o.html").exists()


def test_a_picture_is_looked_at(net, monkeypatch, capsys):
    image = pytest.importorskip("PIL.Image")
    monkeypatch.chdir(net.parent)
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    image.fromarray(pixels).save("<b>.png")
    words = ["o.html", "net.onnx", "--image", "<b>.png", "--preprocess", "resize=8,crop=8", "-q"]
    assert report.main(words) == 0, capsys.readouterr().err
    text = (net.parent / "o.html").read_text()
    assert 'id="looks"' in text
    assert text.count("data:image/png") == 1
    assert "the picture &lt;b&gt;.png" in text


def test_validate_shows_what_it_found(net, capsys):
    page = net.with_name("v.html")
    assert validate.main([str(net), str(net), "--report", str(page), "-q"]) == 0
    assert capsys.readouterr().out.startswith("net.onnx against net.onnx: passed")
    assert "compared just now" in page.read_text()
    assert "simam-validate net.onnx net.onnx --report v.html" in page.read_text()


def test_export_shows_what_it_made(net, capsys):
    out, page = net.with_name("ours.onnx"), net.with_name("ours.html")
    words = [str(net), "-o", str(out), "--report", str(page), "--json", "-q"]
    assert export.main(words) == 0, capsys.readouterr().err
    text = page.read_text()
    assert re.search(r"<h1>ours.onnx</h1><span[^>]*>(validated|NOT PROVED)", text)
    assert 'id="errors"' in text


@pytest.mark.parametrize(
    ("command", "words", "says"),
    [
        (export, ["net.onnx", "--report", "o.txt"], "must be named .html"),
        (export, ["net.onnx", "--format", "triton", "--report", "o.html"], "shows none"),
        (validate, ["net.onnx", "net.onnx", "--report", "o.txt"], "must be named .html"),
        (bench, ["m.pth", "--report", "o.html"], "about an .onnx or a plan"),
    ],
)
def test_a_report_that_cannot_be_is_refused_before_any_work(
    net, monkeypatch, capsys, command, words, says
):
    monkeypatch.chdir(net.parent)
    assert command.main([*words, "-q"]) == 2
    assert says in capsys.readouterr().err
    assert sorted(p.name for p in net.parent.iterdir()) == ["net.onnx"]


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: the page cannot be opened in a browser")
@pytest.mark.parametrize("how", ["screenshot=out.png", "print-to-pdf=out.pdf"])
@pytest.mark.parametrize("size", ["1200,900", "390,844"])
def test_a_browser_shows_it_without_a_word(net, how, size):
    assert report.main([str(net.with_suffix(".html")), "-q"]) == 0
    quiet = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    done = subprocess.run(
        [CHROMIUM, *quiet.split(), f"--user-data-dir={net.parent / 'profile'}",
         f"--window-size={size}", "--enable-logging=stderr", f"--{how}", "net.html"],
        cwd=net.parent, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    assert (net.parent / how.partition("=")[2]).stat().st_size > 10_000
