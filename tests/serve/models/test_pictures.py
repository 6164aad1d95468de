"""Classification of pictures, on the digits example as it is exported and served."""

import contextlib
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from simam_deploy.op import contract
from simam_deploy.pipeline.serve import export_checkpoints, find_sources
from simam_deploy.serve.models.attention import LARGEST_SIDE, _averaged
from simam_deploy.serve.models.pictures import rank
from simam_deploy.serve.protocol.refusals import ModelFailed
from tests.conftest import EXAMPLES
from tests.serve import graphs
from tests.serve.running import serving


@pytest.fixture(scope="module")
def served_digits(digits, tmp_path_factory):
    """As `simam-serve digits=model_best.pth.tar double.onnx` would: the checkpoint is exported."""
    folder = tmp_path_factory.mktemp("digits")
    (folder / "digits.labels.txt").write_text("".join(f"digit {i}\n" for i in range(10)))
    found = find_sources([f"digits={digits}", str(graphs.double(folder))])
    steps = []
    sources = export_checkpoints(found, folder, steps.append)
    assert steps[0] == "digits: reading the network"
    with serving(sources) as running:
        yield running


def picture(i: int, kind: str = "PNG") -> bytes:
    """Sample digit `i`, drawn as the network was trained: 8 x 8, every pixel 4 x 4."""
    samples = np.load(EXAMPLES / "digits_samples.npz")
    pixels = np.kron(samples["images"][i] / 16 * 255, np.ones((4, 4))).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(file, kind)
    return file.getvalue()


def classify(running, content, query="", model="digits"):
    return running.request("POST", f"/v2/models/{model}/classify{query}", content)[:2]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_every_sample_digit_is_read(served_digits, kind):
    labels = np.load(EXAMPLES / "digits_samples.npz")["labels"]
    for i, label in enumerate(labels):
        status, said = classify(served_digits, picture(i, kind), "?top=3")
        assert status == 200
        assert said["classes"][0]["label"] == f"digit {label}"
        assert len(said["classes"]) == 3
        odds = [c["probability"] for c in said["classes"]]
        assert odds == sorted(odds, reverse=True)
        assert odds[0] > 0.5
        assert "attention" not in said


def test_attention_is_the_gate_of_every_site(served_digits):
    """The last sites are 8 x 8; a gate lies in [0.6225, 1), and is not the same everywhere."""
    status, said = classify(served_digits, picture(0), "?attention=1")
    assert status == 200
    assert len(said["attention"]) == 9
    for site in said["attention"]:
        gates = np.array(site["gates"])
        assert gates.shape == (site["height"], site["width"])
        assert gates.min() >= round(contract.GATE_FLOOR, 4)
        assert 0.01 < np.ptp(gates) < 1 - contract.GATE_FLOOR
    assert [s["height"] for s in said["attention"]] == [32] * 3 + [16] * 3 + [8] * 3


def test_attention_of_one_picture_is_not_that_of_another(served_digits):
    maps = [classify(served_digits, picture(i), "?attention=1")[1]["attention"] for i in (0, 1)]
    assert maps[0] != maps[1]


def test_large_maps_are_averaged_in_blocks():
    plane = np.arange(100 * 130.0).reshape(100, 130)
    cells = _averaged(plane)
    assert cells.shape == (34, 44)
    assert max(cells.shape) <= LARGEST_SIDE
    assert cells[0, 0] == plane[:3, :3].mean()
    assert cells[-1, -1] == plane[99:, 129:].mean()


def bomb() -> bytes:
    """A PNG of a few bytes that claims 60,000 x 60,000 pixels."""

    def chunk(kind, content):
        whole = kind + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("content", "query", "status", "says"),
    [
        (b"", "", 415, "a JPEG or PNG file is wanted"),
        (b"GIF89a" + b"\0" * 100, "", 415, "a JPEG or PNG file is wanted"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "", 415, "a JPEG or PNG file is wanted"),
        (picture(0)[:60], "", 400, "cannot be decoded"),
        (b"\xff\xd8\xff" + b"\0" * 100, "", 400, "cannot be decoded"),
        (bomb(), "", 400, "cannot be decoded"),
        (picture(0), "?top=-1", 400, "top must be a number"),
        (picture(0), "?top=0", 400, "top must be a number from 1"),
        (picture(0), "?attention=yes", 400, "attention must be a number"),
    ],
)
def test_what_is_no_picture(served_digits, content, query, status, says):
    got, said = classify(served_digits, content, query)
    assert got == status
    assert says in said["error"]
    assert "object at" not in said["error"]


def test_a_model_without_preprocessing_takes_no_pictures(served_digits):
    status, said = classify(served_digits, picture(0), model="double")
    assert status == 415
    assert "takes no pictures" in said["error"]


def test_scores_become_probabilities():
    logits = np.log(np.array([[0.1, 0.7, 0.2]])) + 5
    first, second = rank(logits, ("a", "b"), 2)
    assert (first["label"], second["label"]) == ("b", "2")
    assert (first["probability"], second["probability"]) == (0.7, 0.2)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_no_classes(odd):
    with pytest.raises(ModelFailed, match="no finite numbers"):
        rank(np.array([[0.1, odd, 0.2]]), (), 1)


def test_probabilities_stay_as_they_are():
    assert rank(np.array([[0.1, 0.7, 0.2]]), (), 1)[0]["probability"] == 0.7


def chromium() -> str:
    import shutil

    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium on PATH: the page was not opened")


@contextlib.contextmanager
def opened(running):
    """The page in a headless browser; yields it and whatever the page complained about."""
    browser_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    complaints = []
    with browser_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=flags)
        page = browser.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.goto(f"http://{running.http}/")
        yield page, complaints
        browser.close()


def drop(page, content):
    dropped = page.evaluate_handle(
        """bytes => {
            const data = new DataTransfer();
            const file = new File([new Uint8Array(bytes)], "d.png", {type: "image/png"});
            data.items.add(file);
            return data;
        }""",
        list(content),
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})


def test_the_page_says_what_went_wrong_and_keeps_no_old_result(served_digits):
    with opened(served_digits) as (page, _):
        page.wait_for_selector("#picture:not([hidden])")
        drop(page, picture(3))
        page.wait_for_selector("#maps canvas")
        drop(page, b"no picture")
        page.wait_for_selector("#error:not(:empty)")
        assert page.inner_text("#error").startswith("This cannot be used. (a JPEG or PNG")
        assert page.inner_text("#classes") == "Nothing yet."
        assert page.locator("#maps canvas").count() == 0
        assert not page.is_visible("#attention")
        page.route("**/classify*", lambda route: route.abort())
        drop(page, picture(3))
        page.locator(
            "#error", has_text="The server does not answer. Is it still running?"
        ).wait_for()
        page.unroute("**/classify*")
        drop(page, picture(3))
        page.wait_for_selector("#maps canvas")
        assert page.inner_text("#error") == ""


def test_the_page_shows_classes_and_attention_of_a_dropped_picture(served_digits):
    """Dropped, not chosen: the event that a person's drag ends with."""
    content = list(picture(3))
    with opened(served_digits) as (page, complaints):
        page.wait_for_selector("#picture:not([hidden])")
        drop(page, content)
        page.wait_for_selector("#maps canvas")
        assert page.inner_text("#classes li:first-child .label") == "digit 5"
        assert page.locator("#maps canvas").count() == 9
        assert complaints == []


def test_the_page_shows_the_metadata_of_a_model_without_pictures(served_digits):
    with opened(served_digits) as (page, complaints):
        page.select_option("#model", "double")
        page.locator("#facts td", has_text="x  FP32  [-1, 3, 4]").wait_for()
        assert not page.is_visible("#picture")
        assert complaints == []


def test_the_page_asks_nobody_else(served_digits):
    status, content, headers = served_digits.request("GET", "/")
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    assert b"http://" not in content
    assert b"https://" not in content


def test_facts_of_the_manifest_are_in_the_metadata(served_digits):
    facts = served_digits.request("GET", "/v2/models/digits")[1]["parameters"]
    assert facts["arch"] == "cifar_preresnet20"
    assert facts["simam_sites"] == 9
    assert facts["takes_pictures"] is True
    assert json.loads(Path(served_digits.server.repository.sources["digits"].with_suffix(
        ".json")).read_text())["e_lambda"] == facts["e_lambda"]  # fmt: skip
