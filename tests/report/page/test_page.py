"""The page: its sections where there is something to show, and nothing of a file's as markup."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from simam_deploy.pipeline.explained import GradCam
from simam_deploy.pipeline.target import Target
from simam_deploy.pipeline.views import Views
from simam_deploy.report.page.page import page
from simam_deploy.source.samples.heatmap import Heatmap
from simam_deploy.source.samples.placement import Placement
from tests.report.page.made import HOSTILE, bench, gathered, lean, validation, variant

VOID = {"meta", "br", "img", "line", "rect", "path", "image", "use"}


class Reader(HTMLParser):
    """Reads a page strictly: every element that is opened is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"{tag} has an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def sections(self) -> list[str]:
        return [attributes["id"] for tag, attributes in self.elements if tag == "section"]


@pytest.fixture(scope="module")
def views():
    height, width = 30, 40
    where = Placement((height, width), (height, width), (0, -5))
    cells = np.linspace(0.62, 0.9, 12, dtype=np.float32).reshape(3, 4)
    target = Target((("logits", (7,)),), 7, "cat", 3.5, 0, (4.0, 4.0, 20.0, 20.0))
    maps = (Heatmap("layer1.0", cells, where, (height, 30)),)
    cams = (GradCam("layer1.0", cells, where, (height, 30), target),)
    return Views("cat.jpg", np.full((height, width, 3), 200, np.uint8), {}, maps, cams)


@pytest.fixture(scope="module")
def whole(views):
    return page(gathered(views=views))


ALL = ["network", "gates", "errors", "looks", "speed", "engines", "manifest", "reproduce"]


def test_it_is_well_formed_and_has_every_section(whole):
    read = Reader(whole)
    assert read.sections == ALL
    links = [a["href"] for tag, a in read.elements if tag == "a"]
    assert links == [f"#{anchor}" for anchor in ALL]


@pytest.mark.parametrize(
    ("lost", "section"),
    [
        ({"drawing": None}, "network"),
        ({"validation": {}, "gates": ()}, "errors"),
        ({"engines": ()}, "engines"),
        ({}, "gates"),
        ({}, "speed"),
        ({}, "looks"),
    ],
)
def test_a_section_is_absent_where_nothing_is_known(lost, section):
    read = Reader(page(lean(**lost)))
    assert section in ALL
    assert section not in read.sections
    assert {"manifest", "reproduce"} <= set(read.sections)
    assert f"#{section}" not in [a.get("href") for _, a in read.elements]


def test_names_of_a_file_are_text(views):
    text = page(gathered(HOSTILE, views=replace(views, picture=HOSTILE, reason=HOSTILE)))
    read = Reader(text)
    assert not [tag for tag, _ in read.elements if tag in ("script", "iframe", "object")]
    assert not [key for _, a in read.elements for key in a if key.startswith("on")]
    assert not re.search("[\u202a-\u202e\x00-\x09\x0b-\x1f]", text)
    assert read.text.count('<script>alert("1")</script>\\u202e\\x1b[31m$a$') > 10


def test_nothing_is_fetched(whole):
    read = Reader(whole)
    for _, attributes in read.elements:
        for key in ("src", "href", "xlink:href", "data", "action", "srcset"):
            assert attributes.get(key, "#").startswith(("#", "data:image/"))
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", re.sub(r"base64,[^\"]+", "", whole))
    (policy,) = (a["content"] for tag, a in read.elements if "http-equiv" in a)
    assert policy.startswith("default-src 'none';")


def test_ids_are_unique(whole):
    ids = [a["id"] for _, a in Reader(whole).elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_each_output_stands_at_its_own_bound():
    text = Reader(page(lean())).text
    assert "3.00e-03 4.00e-03 75.0%" in text  # of two cases, the nearer
    assert "z 0 0 0.0%" in text
    assert "nearest output error, of 4e-03 allowed" in text


def test_outputs_that_are_not_listed_are_held_against_nothing():
    """The largest error and the bound of the nearest are of two outputs: 272 % of one once."""
    said = {k: v for k, v in validation().items() if k != "outputs"}
    text = Reader(page(lean(validation=said))).text
    assert "The largest difference of any output is 3.00e-03" in text
    assert "of the bound where" not in text


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ({"passed": True, "proved": True}, "validated"),
        ({"passed": True, "proved": False}, "NOT PROVED"),
        ({"passed": False, "proved": False}, "FAILED validation"),
        ({"passed": None, "reason": "no GPU"}, "not validated"),
        ({}, "not validated"),
    ],
)
def test_the_verdict(said, verdict):
    text = Reader(page(lean(validation=said))).text
    assert f"m-fp32.onnx {verdict}" in text


def test_power_says_what_was_not_seen():
    text = Reader(page(lean())).text
    assert "layer1 31 seen" in text
    assert "every \N{GREEK SMALL LETTER LAMDA} doubled 0.4 not seen" in text


def test_a_failed_site_says_why():
    text = Reader(page(lean())).text
    assert "layer1.0: failed: beyond its bound" in text


def test_each_precision_has_its_range(whole):
    text = Reader(whole).text
    for precision in ("fp32", "fp16", "int8"):
        assert f"{precision} 0.6225 to 0.9700, mean 0.7000" in text


def test_a_file_whose_gates_could_not_be_seen_says_why():
    lost = replace(variant("bf16"), reason="no kernel for it")
    text = Reader(page(gathered(variants=(variant("fp32", "layer1.0"), lost)))).text
    assert "m-bf16.onnx: no kernel for it" in text


def test_attention_and_grad_cam_lie_over_one_picture(whole):
    read = Reader(whole)
    images = [a for tag, a in read.elements if tag == "image"]
    assert [a["href"][:15] for a in images] == ["data:image/jpeg", *["data:image/png;"] * 2]
    assert [a["href"] for tag, a in read.elements if tag == "use" and a["href"] == "#picture"] == [
        "#picture"
    ] * 2
    assert "the score of cat (class 7), the box drawn, comes from, logits[0, 7] = 3.5" in read.text


def test_the_drawing_has_what_goes_past_and_every_site(whole):
    read = Reader(whole)
    kinds = [a.get("class") for tag, a in read.elements if tag in ("path", "rect")]
    assert kinds.count("past") == 1
    assert kinds.count("site") == 2
    assert "2 blocks of 8\N{MULTIPLICATION SIGN}4\N{MULTIPLICATION SIGN}4" in read.text
    assert "add the skip (1x1 conv 8)" in read.text


def test_no_speed_without_agreement_beside_it(whole):
    text = Reader(whole).text
    assert "1.2\N{MULTIPLICATION SIGN} (1.1 to 1.3) 1.0e-03 of 1e-02" in text
    assert "2 ms median at batch 1, cpu" in text


def test_an_interrupted_benchmark_says_so():
    text = Reader(page(lean(bench=replace(bench(), interrupted=True)))).text
    assert "The benchmark was interrupted" in text


def test_a_file_of_somebody_elses_shows_what_it_says_itself():
    text = Reader(page(lean("made <here>", facts={}, validation={}))).text
    assert "no manifest of ours beside it" in text
    assert "producer made <here>" in text


@pytest.mark.parametrize(
    "damaged",
    [
        {"outputs": 3, "power": [1], "rule": 5, "max_rel": "x"},
        {"outputs": [None, {"max_rel": True, "allowed": 10**400}], "power": {"dropped": {}}},
        {"passed": True, "outputs": [{"max_rel": 1.0, "allowed": 0}], "power": {"still": 3}},
    ],
)
def test_an_edited_validation_breaks_nothing(damaged):
    read = Reader(page(lean(validation=damaged, facts={"validation": damaged})))
    assert "manifest" in read.sections


def test_a_site_more_takes_a_few_kilobytes():
    """So that the 54 sites of a preresnet164 in three precisions stay below 3 MB."""

    def size(count):
        names = [f"layer{i}.conv2.1" for i in range(count)]
        several = tuple(variant(precision, *names) for precision in ("fp32", "fp16", "int8"))
        return len(page(lean(variants=several)))

    assert size(2) - size(1) < 20_000
