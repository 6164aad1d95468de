"""Which of a picture's pixels are what, as it is served."""

import json

import numpy as np
import onnx
import pytest

from simam_deploy.core.manifest import write_manifest
from tests.detect import tiny
from tests.serve.models.test_detect import BLUE, PICTURE, RED, read_mask
from tests.serve.models.test_pictures import drop, opened
from tests.serve.running import serving

NAMES = ("ground", "red", "blue")
SEEN = {
    "kind": "image", "resize": [64, 48], "stretch": True, "scale": 1 / 255, "mean": [0.0] * 3,
    "std": [1.0] * 3,
}  # fmt: skip


GRAPH = """<ir_version: 8, opset_import: ["": 18]>
    g (float[batch, 3, 48, 64] x) => (float[batch, 3, 24, 32] y)
    <int64[2] axes = {2, 3}, float lam = {0.0001}, float four = {4}, float half = {0.5},
     float n = {3071}>
    { mean = ReduceMean(x, axes) d = Sub(x, mean) d2 = Mul(d, d) s = ReduceSum(d2, axes)
      v = Div(s, n) vl = Add(v, lam) q = Mul(vl, four) e = Div(d2, q) g_ = Add(e, half)
      gate = Sigmoid(g_) a = Mul(x, gate) m = Conv<strides = [2, 2]>(a, w) y = Add(m, bias) }"""


def painter(path, classes=NAMES, saying=SEEN, ground=0.5):
    """Tell red and blue from the ground at every second pixel, behind one SimAM.

    Its gate lies between 0.62 and 1: a full colour scores above the ground's 0.5.
    """
    model = onnx.parser.parse_model(GRAPH)
    weight = np.zeros((3, 3, 1, 1), np.float32)
    weight[1, 0], weight[2, 2] = 1, 1
    bias = np.array([ground, 0, 0], np.float32).reshape(1, 3, 1, 1)
    for name, array in (("w", weight), ("bias", bias)):
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    path.write_bytes(model.SerializeToString())
    write_manifest(path, [path], {"preprocessing": saying, "classes": list(classes)})
    return path


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("segmenters")
    bare = tiny.detector()
    del bare.graph.output[-1]
    padded = {**SEEN, "keep_ratio": True, "pad": "corner", "pad_value": 0}
    del padded["stretch"]
    sources = {
        "painter": painter(folder / "painter.onnx"),
        "padded": painter(folder / "padded.onnx", saying=padded),
        "unnamed": painter(folder / "unnamed.onnx", classes=()),
        "spots": tiny.write(folder),
        "bare": tiny.write(folder, "bare", bare),
    }
    with serving(sources) as running:
        yield running


def segment(running, content, query="", model="painter"):
    return running.request("POST", f"/v2/models/{model}/segment{query}", content)[:2]


def box_of(mask):
    return (
        mask["left"], mask["top"], mask["left"] + mask["width"], mask["top"] + mask["height"],
    )  # fmt: skip


def test_every_pixel_has_a_class_and_the_largest_region_comes_first(served):
    status, said = segment(served, tiny.png(PICTURE))
    assert status == 200
    assert (said["model_name"], said["width"], said["height"]) == ("painter", 64, 48)
    ground, red, blue = said["regions"]
    assert [each["label"] for each in said["regions"]] == list(NAMES)
    assert box_of(ground["mask"]) == (0, 0, 64, 48)
    for each, wanted in ((red, RED), (blue, BLUE)):  # to one pixel: the scores are every second's
        np.testing.assert_allclose(box_of(each["mask"]), wanted, atol=1)
    whole = [read_mask(each["mask"], 48, 64) for each in said["regions"]]
    assert (np.sum(whole, axis=0) == 1).all()
    for each, mask in zip(said["regions"], whole, strict=True):
        assert each["share"] == pytest.approx(mask.mean(), abs=1e-6)
        assert "score" not in each


def test_regions_are_in_pixels_of_the_picture_as_it_was_sent(served):
    """Twice as wide as the input's ratio: it fills the upper half of the letterbox."""
    picture = tiny.painted(96, 256, red=(64, 24, 192, 72))
    said = segment(served, tiny.png(picture), model="padded")[1]
    assert (said["width"], said["height"]) == (256, 96)
    red = next(each for each in said["regions"] if each["label"] == "red")
    np.testing.assert_allclose(box_of(red["mask"]), (64, 24, 192, 72), atol=4)


def test_a_detector_with_masks_answers_with_them(served):
    status, said = segment(served, tiny.png(PICTURE), model="spots")
    asked = served.request("POST", "/v2/models/spots/detect?masks=1", tiny.png(PICTURE))[1]
    assert (status, said) == (200, asked)
    assert all("mask" in each for each in said["detections"])
    (red,) = segment(served, tiny.png(PICTURE), "?threshold=0.8", model="spots")[1]["detections"]
    assert red["label"] == "red"


@pytest.mark.parametrize(
    ("model", "status", "says"),
    [
        ("bare", 415, "model 'bare' gives no masks: /detect is for boxes"),
        ("unnamed", 415, "model 'unnamed' does not name the classes of its 3 maps"),
        ("nobody", 404, "unknown model"),
    ],
)
def test_what_does_not_segment_says_so(served, model, status, says):
    got, said = segment(served, tiny.png(PICTURE), model=model)
    assert (got, says in said["error"]) == (status, True), said


def test_the_metadata_say_who_segments(served):
    said = {
        name: served.request("GET", f"/v2/models/{name}")[1]["parameters"]
        for name in ("painter", "unnamed", "spots", "bare")
    }
    assert [each["segments"] for each in said.values()] == [True, False, True, False]
    assert [each["takes_pictures"] for each in said.values()] == [True, False, True, True]


def test_scores_that_are_no_numbers_are_a_fault_of_the_model(tmp_path):
    path = painter(tmp_path / "nan.onnx", ground=np.nan)
    with serving({"nan": path}) as running:
        status, said = segment(running, tiny.png(PICTURE), model="nan")
    assert (status, said["error"]) == (
        500, "the model gave scores that are no finite numbers for this picture",
    )  # fmt: skip


@pytest.mark.parametrize("route", ["detect", "segment"])
def test_attention_says_which_part_of_the_picture_it_covers(served, route):
    model = "padded" if route == "segment" else "spots"
    wide = tiny.painted(24, 64, red=(4, 4, 20, 20))
    said = served.request("POST", f"/v2/models/{model}/{route}?attention=1", tiny.png(wide))[1]
    if route == "detect":  # there is no SimAM in it
        assert said["attention"] == []
        assert "attention_note" in said
        assert "attention_box" not in said
    else:  # 24 rows of a letterbox of 48: what is below is padding
        assert said["attention_box"] == [0, 0, 64, 48]
        assert [each["height"] for each in said["attention"]] == [48]


def test_the_page_draws_regions_and_lays_attention_over_them(served):
    with opened(served) as (page, complaints):
        page.select_option("#model", "painter")
        page.wait_for_selector("#picture.wide:not([hidden])")
        drop(page, tiny.png(PICTURE))
        page.wait_for_selector("#maps canvas")
        assert page.locator("#classes .label").all_inner_texts() == list(NAMES)
        assert not page.is_visible("#surer")
        before = colour(page, 60, 44)
        page.click("#maps canvas")
        assert page.inner_text("#whose") == page.locator("figcaption").inner_text().split("\n")[0]
        strong = colour(page, 60, 44)
        assert strong != before
        page.evaluate("at('strength').value = 0; draw()")
        assert colour(page, 60, 44) == before
        page.evaluate("at('over').value = 0; draw()")
        assert page.inner_text("#whose") == "none"
        assert complaints == []


def colour(page, x, y):
    """What is drawn over a pixel of the picture, as text, to be compared."""
    return json.dumps(
        page.eval_on_selector(
            "#drop canvas",
            """(canvas, [x, y]) => [...canvas.getContext("2d")
                .getImageData(x * canvas.width / 64, y * canvas.height / 48, 1, 1).data]""",
            [x, y],
        )
    )
