"""Detection in pictures, by a detector of our kind and by one of YOLO's, as they are served."""

import asyncio
import json

import numpy as np
import onnx
import pytest
from PIL import Image

from simam_deploy.detect.masks import paste
from simam_deploy.errors import SimamError
from tests.detect import tiny
from tests.serve import graphs
from tests.serve.models.test_pictures import opened
from tests.serve.running import serving
from tests.verify.test_detections import detector as squares

RED, BLUE = (10, 8, 30, 28), (40, 4, 60, 20)
PICTURE = tiny.painted(48, 64, red=RED, blue=BLUE)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Ours, with free sides; the same without masks; YOLO's; and one that gives no boxes."""
    folder = tmp_path_factory.mktemp("detectors")
    bare = tiny.detector()
    del bare.graph.output[-1]
    yolo = folder / "squares.onnx"
    sources = {
        "spots": tiny.write(folder),
        "bare": tiny.write(folder, "bare", bare),
        "squares": write_yolo(yolo),
        "attentive": graphs.attentive(folder),
        "double": graphs.double(folder),
    }
    with serving(sources) as running:
        yield running


def write_yolo(path):
    from simam_deploy.core.manifest import write_manifest
    from simam_deploy.graph.file.write import write_model

    write_model(squares(), path)
    said = {"kind": "image", "resize": [64, 64], "keep_ratio": True, "pad": "centre",
            "pad_value": 0, "scale": 1 / 255, "mean": [0.0] * 3, "std": [1.0] * 3}  # fmt: skip
    write_manifest(path, [path], {"preprocessing": said})
    return path


def detect(running, content, query="", model="spots"):
    return running.request("POST", f"/v2/models/{model}/detect{query}", content)[:2]


def test_boxes_are_in_pixels_of_the_picture(served):
    """The picture is doubled on its way in, and what comes out is halved."""
    status, said = detect(served, tiny.png(PICTURE))
    assert status == 200
    assert (said["model_name"], said["width"], said["height"]) == ("spots", 64, 48)
    red, blue = said["detections"]
    assert (red["label"], red["index"], red["score"], red["box"]) == ("red", 0, 0.9, list(RED))
    assert (blue["label"], blue["index"], blue["score"], blue["box"]) == (
        "blue",
        2,
        0.7,
        list(BLUE),
    )
    assert "mask" not in red
    assert "turned_upright" not in said


def test_the_network_is_told_where_the_picture_ends(served):
    """50 x 30 becomes 128 x 77 of 128 x 96: the box ends a margin before that, not before 96."""
    picture = tiny.painted(30, 50, red=(20, 10, 50, 30))
    (red,) = detect(served, tiny.png(picture))[1]["detections"]
    assert red["box"][2:] == pytest.approx(
        [(128 - tiny.MARGIN) / 2.56, (77 - tiny.MARGIN) * 30 / 77], abs=0.01
    )


def test_a_standing_picture_has_an_input_that_stands(served):
    picture = tiny.painted(64, 48, green=(4, 40, 20, 58))
    (green,) = detect(served, tiny.png(picture))[1]["detections"]
    assert green["box"] == [4, 40, 20, 58]


def test_masks_are_runs_in_a_rectangle_of_the_picture(served):
    status, said = detect(served, tiny.png(PICTURE), "?masks=1")
    assert status == 200
    shapes = tiny.MASKS[[0, 2]]
    wanted = paste(shapes, np.array([each["box"] for each in said["detections"]]), 48, 64)
    for each, whole in zip(said["detections"], wanted, strict=True):
        np.testing.assert_array_equal(read_mask(each["mask"], 48, 64), whole)
    assert wanted[0].sum() == pytest.approx(np.pi * 100, rel=0.03)  # a disc of 20 pixels


def read_mask(mask, height, width):
    """As openapi.json says."""
    counts = mask["counts"]
    assert sum(counts) == mask["width"] * mask["height"]
    bits = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(mask["height"], mask["width"])
    assert bits.any(0)[[0, -1]].all()
    assert bits.any(1)[[0, -1]].all()
    whole = np.zeros((height, width), bool)
    top, left = mask["top"], mask["left"]
    whole[top : top + mask["height"], left : left + mask["width"]] = bits
    return whole


@pytest.mark.parametrize(("threshold", "count"), [("0", 2), ("0.7", 1), ("0.75", 1), ("1", 0)])
def test_scores_are_above_the_threshold(served, threshold, count):
    status, said = detect(served, tiny.png(PICTURE), f"?threshold={threshold}")
    assert (status, len(said["detections"])) == (200, count)


def test_nothing_is_found_in_a_black_picture(served):
    status, said = detect(served, tiny.png(np.zeros((9, 7, 3), np.uint8)), "?masks=1")
    assert (status, said["detections"], said["width"], said["height"]) == (200, [], 7, 9)


def test_a_picture_that_was_stored_on_its_side_is_turned_first(served):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = tiny.png(np.ascontiguousarray(np.rot90(PICTURE)), exif=exif)
    said = detect(served, stored)[1]
    assert said["turned_upright"] is True
    assert (said["width"], said["height"]) == (64, 48)
    assert [each["box"] for each in said["detections"]] == [list(RED), list(BLUE)]


def test_a_model_without_masks_gives_boxes(served):
    status, said = detect(served, tiny.png(PICTURE), "?masks=1", model="bare")
    assert status == 200
    assert [sorted(each) for each in said["detections"]] == [["box", "index", "label", "score"]] * 2


def test_yolos_cells_are_read_too(served):
    """A white square of 8 pixels in the middle of a letterbox: its cell, 9 pixels wide."""
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[8:16, 24:32, 1] = 255
    status, said = detect(served, tiny.png(pixels), model="squares")
    assert status == 200
    (green,) = said["detections"]
    assert (green["index"], green["label"]) == (1, "1")
    assert green["box"] == [23.5, 7.5, 32.5, 16.5]


@pytest.mark.parametrize(
    ("content", "query", "model", "status", "says"),
    [
        (b"", "", "spots", 415, "a JPEG or PNG file is wanted"),
        (tiny.png(PICTURE)[:60], "", "spots", 400, "cannot be decoded"),
        (tiny.png(PICTURE), "?threshold=2", "spots", 400, "threshold must be a number from 0 to 1"),
        (tiny.png(PICTURE), "?threshold=nan", "spots", 400, "threshold must be a number"),
        (tiny.png(PICTURE), "?threshold=a", "spots", 400, "threshold must be a number"),
        (tiny.png(PICTURE), "?masks=yes", "spots", 400, "masks must be a number"),
        (tiny.png(PICTURE), "", "double", 415, "takes no pictures"),
        (tiny.png(PICTURE), "", "attentive", 415, "gives no boxes: /classify is for class scores"),
        (tiny.png(PICTURE), "", "nobody", 404, "unknown model"),
    ],
)
def test_what_cannot_be_detected_in(served, content, query, model, status, says):
    got, said = detect(served, content, query, model)
    assert (got, says in said["error"]) == (status, True), said


def test_masks_of_more_pixels_than_are_made_are_refused(served, monkeypatch):
    """The two boxes have 400 and 320 pixels."""
    monkeypatch.setattr("simam_deploy.serve.models.detect.MOST_PIXELS", 719)
    status, said = detect(served, tiny.png(PICTURE), "?masks=1")
    assert (status, said["error"].partition(":")[0]) == (
        400, "2 masks of 720 pixels together, 719 is the limit"
    )  # fmt: skip
    assert detect(served, tiny.png(PICTURE))[0] == 200
    assert detect(served, tiny.png(PICTURE), "?masks=1&threshold=0.8")[0] == 200


def test_a_detector_does_not_classify(served):
    """Its scores (N, k) look like those of k classes."""
    status, said, _ = served.request("POST", "/v2/models/spots/classify", tiny.png(PICTURE))
    assert (status, said["error"]) == (415, "model 'spots' detects: ask /detect")


def test_the_metadata_say_who_detects(served):
    said = {
        name: served.request("GET", f"/v2/models/{name}")[1]["parameters"]
        for name in ("spots", "squares", "attentive", "double")
    }
    assert {name: each["detects"] for name, each in said.items()} == {
        "spots": True, "squares": True, "attentive": False, "double": False
    }  # fmt: skip
    assert [each["takes_pictures"] for each in said.values()] == [True, True, True, False]


def test_pictures_of_unlike_sizes_wait_in_lines_of_their_own(served):
    """Asked all at once, each gets what it gets alone; the model shares batches."""
    assert served.request("GET", "/v2/models/spots/config")[1]["max_batch_size"] == 8
    shapes = [(48, 64), (64, 48), (30, 60)] * 6
    pictures = [
        tiny.png(tiny.painted(h, w, red=(2, 4, 20 + i, 28))) for i, (h, w) in enumerate(shapes)
    ]
    alone = [detect(served, picture)[1]["detections"] for picture in pictures]

    async def together():
        return await asyncio.gather(*(asyncio.to_thread(detect, served, each) for each in pictures))

    assert [said["detections"] for _, said in asyncio.run(together())] == alone
    assert len({json.dumps(each) for each in alone}) > 12


def test_a_manifest_that_tells_sizes_to_a_model_that_takes_none_is_refused(tmp_path):
    """Two inputs, neither of which is a size."""
    text = """<ir_version: 8, opset_import: ["": 18]>
        g (float[n,3,h,w] x, float[n,3] m) => (float[n,3] y) { p = GlobalAveragePool(x)
        f = Flatten(p) y = Add(f, m) }"""
    path = tiny.write(tmp_path, "odd", onnx.parser.parse_model(text))
    told = pytest.raises(SimamError, match="told its pictures' sizes, which takes two inputs")
    with told, serving({"odd": path}):
        pass


def test_the_page_draws_boxes_and_masks(served):
    content = list(tiny.png(PICTURE))
    with opened(served) as (page, complaints):
        page.select_option("#model", "spots")
        page.wait_for_selector("#picture.wide:not([hidden])")
        dropped = page.evaluate_handle(
            """bytes => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], "d.png", {type: "image/png"}));
                return data;
            }""",
            content,
        )
        page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})
        page.wait_for_selector("#classes .swatch")
        assert page.locator("#classes .label").all_inner_texts() == ["red", "blue"]
        drawn = "#drop canvas"
        colours = page.eval_on_selector(
            drawn,
            """canvas => [[20, 18], [20, 8], [35, 40]].map(([x, y]) => [...canvas.getContext("2d")
                .getImageData(x * canvas.width / 64, y * canvas.height / 48, 1, 1).data])""",
        )
        inside, edge, outside = (colour[3] for colour in colours)
        assert 90 < inside < 140 < edge
        assert outside == 0
        assert complaints == []
