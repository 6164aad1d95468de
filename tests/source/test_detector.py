"""A checkpoint of a whole detector, or of its backbone alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from simam_deploy.core.facts import FACTS
from simam_deploy.errors import NetworkError
from simam_deploy.source import load_subject
from simam_deploy.source.options import NetworkOptions
from tests.golden.detectors import golden_detector
from tests.models.detectors import tiny
from tests.source.mmdetection import (
    CLASSES,
    CONFIG,
    OUTPUTS,
    changed,
    inputs_of,
    load,
    refusal,
    save,
)
from tests.source.stated.configs import VERSION_2

__all__ = ["save"]


def test_the_whole_is_taken_with_what_its_file_says(save):
    subject = load(save())
    assert subject.facts["arch"] == "mask_rcnn_resnet18"
    assert subject.facts["classes"] == list(CLASSES)
    assert subject.facts["preprocessing"] == {
        "kind": "image", "layout": "NCHW", "color": "BGR", "scale": 1.0, "mean": [103.53, 116.28,
        123.675], "std": [1.0] * 3, "resize": [96, 64], "keep_ratio": True, "pad_divisor": 32,
        "size_input": "image_size",
    }  # fmt: skip
    assert subject.facts["smallest_input"] == [1, 3, 64, 64]
    assert subject.e_lambda.source == "file (meta.config.model.backbone.attention_param)"
    assert [str(spec) for spec in inputs_of(subject)] == [
        "image float32 batch x 3 x height x width", "image_size float32 batch x 2"
    ]  # fmt: skip
    assert subject.contradictions == ()
    assert all(FACTS[name].holds(fact) for name, fact in subject.facts.items() if name in FACTS)


def test_its_settings_are_the_files_or_said_to_be_assumed(save):
    subject = load(save())
    facts = subject.facts["detector"]
    assert (facts["kind"], facts["classes"], facts["roi_size"]) == ("mask_rcnn", 3, 7)
    assert (facts["nms_pre"], facts["max_proposals"], facts["max_detections"]) == (60, 40, 12)
    assert {"score_threshold", "box_stds", "mask_threshold"} < set(facts["assumed"])
    assert not {"nms_pre", "rpn_iou"} & set(facts["assumed"])
    notes = subject.notes
    assert (
        "a whole Mask R-CNN; its backbone alone is taken where resnet18_backbone is na" in notes[0]
    )
    assert "nms_pre 60, file (meta.config.model.test_cfg.rpn.nms_pre)" in notes
    assert notes[-1].startswith("assumed of the detector, as published: strides [4, 8, 16, 32, 64]")


@pytest.mark.parametrize("mask", [True, False])
def test_the_reference_is_the_detector_of_these_settings(mask, save):
    subject = load(save(CONFIG if mask else "", mask=mask))
    settings = (
        tiny.SETTINGS
        if mask
        else replace(tiny.SETTINGS, nms_pre=1000, max_proposals=1000, max_detections=100)
    )
    image, size = tiny.inputs()
    with torch.inference_mode():
        wanted = tiny.detector(mask, settings)(image, size)
    with subject.reference() as runner:
        found = runner.run({"image": image.numpy(), "image_size": size.numpy()})
    assert tuple(found) == OUTPUTS[: len(wanted)]
    assert len(found["num_dets"]) == 2
    assert found["num_dets"].min() > 0
    for one, other in zip(found.values(), wanted, strict=True):
        np.testing.assert_array_equal(one, other.numpy())


def test_nothing_said_is_all_assumed(save):
    subject = load(save(config="", classes=None))
    assert [image for image, _ in subject.shapes] == [
        (3, 3, 288, 448), (1, 3, 800, 1344), (1, 3, 64, 64)
    ]  # fmt: skip
    assert subject.facts["preprocessing"]["pad_divisor"] == 32
    assert subject.facts["preprocessing"]["size_input"] == "image_size"
    assert "classes" not in subject.facts
    assert subject.e_lambda.source.startswith("assumed: the value published for detectors of two")
    assert len(subject.facts["detector"]["assumed"]) == 18


def test_free_sizes_are_multiples_of_the_divisor(save):
    subject = load(save())
    images = [image for image, _ in subject.shapes]
    assert images == [(3, 3, 64, 64), (1, 3, 64, 96), (1, 3, 64, 64)]
    assert [size for _, size in subject.shapes] == [(3, 2), (1, 2), (1, 2)]
    subject = load(save(changed("size_divisor=32", "size_divisor=64")))
    images = [image for image, _ in subject.shapes]
    assert images == [(3, 3, 64, 64), (1, 3, 64, 128), (1, 3, 64, 64)]
    subject = load(save(), dynamic="batch")
    assert inputs_of(subject)[0].shape == ("batch", 3, 64, 96)
    assert subject.shapes == (((1, 3, 64, 96), (1, 2)), ((3, 3, 64, 96), (3, 2)))
    subject = load(save(), dynamic="none", input_shape=(2, 3, 96, 96))
    assert subject.shapes == (((2, 3, 96, 96), (2, 2)),)
    (line,) = subject.contradictions
    assert line.startswith(
        "the input is 96x96, and file (meta.config.test_pipeline) says 64x96: Si"
    )


@pytest.mark.parametrize(("steps", "said"), [("size_divisor=16", 16), ("size_divisor=1", 1)])
def test_a_divisor_that_the_pyramid_cannot_halve_is_contradicted(steps, said, save):
    subject = load(save(changed("size_divisor=32", steps)), dynamic="batch")
    assert inputs_of(subject)[0].shape == ("batch", 3, 64, 96)
    assert subject.facts["preprocessing"]["pad_divisor"] == 32
    assert f"the file pads pictures to multiples of {said}, and the " in subject.contradictions[-1]


def test_pictures_in_the_centre_are_left_open(save):
    """Only how far they reach from the top left is told to the network."""
    steps = "dict(type='LetterResize', scale=(96, 64), pad_val=dict(img=0))"
    resize = "dict(type='Resize', img_scale=(96, 64), keep_ratio=True)"
    text = changed("dict(type='Normalize', **img_norm_cfg),", "", changed(resize, steps))
    subject = load(save(changed("dict(type='Pad', size_divisor=32)", "", text)))
    assert "preprocessing" not in subject.facts
    assert subject.contradictions[-1].startswith("the file lays pictures into the centre, and a d")


def test_names_of_other_classes_are_left_out(save):
    subject = load(save(classes=("cat", "dog")))
    assert "classes" not in subject.facts
    assert subject.contradictions == (
        "the file's class names are left out: 2 are named, and by the weights there are 3",
    )


def test_a_user_names_inputs_and_outputs_and_lambda(save):
    names = {"input_names": ("x", "hw"), "output_names": ("n", "b", "s", "l", "m")}
    subject = load(save(), **names, e_lambda=0.5)
    with subject.reference() as runner:
        assert [spec.name for spec in runner.inputs] == ["x", "hw"]
        assert [spec.name for spec in runner.outputs] == ["n", "b", "s", "l", "m"]
    assert subject.facts["preprocessing"]["size_input"] == "hw"
    assert subject.e_lambda.value == 0.5
    assert subject.contradictions[0].startswith(
        "lambda 0.5 was given, and file (meta.config.model."
    )


def test_the_backbone_alone_where_it_is_named(save):
    subject = load(save(), arch="resnet18_backbone")
    assert subject.facts["arch"] == "resnet18_backbone"
    assert [spec.name for spec in inputs_of(subject)] == ["input"]
    note = "a detector's backbone alone is taken, as named: unnamed, it is the whole"
    assert note in subject.notes
    assert load(save(), arch="mask_rcnn_resnet18").facts["arch"] == "mask_rcnn_resnet18"


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        (["bbox_head.retina_cls.weight"], "bbox_head.retina_cls.weight is a tensor of a RetinaNet"),
        (["roi_head.bbox_head.0.fc_cls.weight"], "is a tensor of a Cascade R-CNN"),
        (["rpn_head.rpn_cls.weight", "bbox_head.fc_cls.weight"], "of mmdetection 1.x, which co"),
        (["rpn_head.rpn_cls.weight"], "this is no detector but an RPN"),
    ],
)  # fmt: skip
def test_of_other_detectors_the_backbone_is_taken(keys, named, save):
    """As it was before whole ones were; a text that is theirs does not matter."""
    heads = {key: None for key in tiny.weights(tiny.identity()) if not key.startswith("backbone.")}
    path = save(weights={**heads, **{key: torch.ones(3, 4) for key in keys}},
                config=changed("'MaskRCNN'", "'RetinaNet'"))  # fmt: skip
    subject = load(path)
    assert subject.facts["arch"] == "resnet18_backbone"
    (note,) = (note for note in subject.notes if "a detector's backbone alone is taken: " in note)
    assert named in note
    line, _ = refusal(NetworkError, path, arch="mask_rcnn_resnet18")
    assert named in line


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", ["none", "batch", "hw"])
def test_its_graph_has_its_names_and_both_operators(dynamic, save):
    subject = load(save(), dynamic=dynamic)
    graph = subject.graph().model.graph
    assert tuple(value.name for value in graph.outputs) == OUTPUTS
    assert [tuple(map(str, v.shape)) for v in graph.inputs] == [
        tuple(map(str, spec.shape)) for spec in inputs_of(subject)
    ]
    kinds = [node.op_type for node in graph if node.domain == "simam"]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "SimAM": 8, "MultilevelRoIAlign": 2, "BatchedNMS": 2
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "lost"),
    [
        ("depth=101", "depth=50", 0),
        ("nms_post=1000,\n        max_num=1000,\n        nms_thr=0.7", "max_per_img=1000, nms=dict("
         "type='nms', iou_threshold=0.7)", 0),
        ("[0.1, 0.1, 0.2, 0.2]", "[0.1, 0.1, 0.1, 0.1]", 90),
        ("sampling_ratio=0", "sampling_ratio=2", 90),
    ],
)  # fmt: skip
def test_what_mmdetection_found_is_found_by_its_own_text(old, new, lost, tmp_path):
    """Of its 100 detections: in both spellings, and another text finds others."""
    golden = golden_detector("mask_rcnn_r50")
    text = changed(old, new, VERSION_2).replace("depth=101", "depth=50")
    names = tuple(f"class {number}" for number in range(80))
    file = {"meta": {"config": text, "CLASSES": names}, "state_dict": golden.state_dict}
    torch.save(file, tmp_path / "epoch_12.pth")
    subject = load(tmp_path / "epoch_12.pth")
    assert subject.facts["detector"]["assumed"] == ["finest_scale"]
    assert subject.contradictions == ()
    given = golden.inputs["plain"]
    feeds = {"image": given.image.numpy(), "image_size": given.image_size.numpy()}
    with subject.reference() as runner:
        found = runner.run(feeds)
    pairs = given.pairs(found["boxes"][0], found["scores"][0], found["labels"][0])
    assert pairs.lost >= lost
    assert (pairs.lost == 0) is (lost == 0)


@pytest.mark.parametrize(
    ("attention", "said", "how"), [("se", None, "with SE"), ("none", "none", "without attention")]
)
def test_a_backbone_without_simam_is_told_of_the_whole(attention, said, how, tmp_path):
    made = tiny.identity(mask=False)
    network = replace(made.backbone.network, attention=attention)
    made = replace(made, backbone=replace(made.backbone, network=network))
    torch.save({"state_dict": tiny.weights(made)}, tmp_path / "w.pth")
    subject = load_subject(tmp_path / "w.pth", NetworkOptions(attention=said))
    assert subject.facts["arch"] == f"faster_rcnn_resnet18 {how}"
    assert subject.e_lambda is None
    assert subject.notes[0] == f"resnet18_backbone {how} has no SimAM: no gate is judged"
