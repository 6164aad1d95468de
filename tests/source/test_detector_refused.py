"""Whole detectors that are refused: damaged ones, texts that cannot be, options that do not fit."""

import pytest
import torch

from simam_deploy.errors import InputError, NetworkError, UsageError
from tests.models.detectors import tiny
from tests.source.mmdetection import CONFIG, changed, load, refusal, save

__all__ = ["save"]

BOX = "roi_head.bbox_head."
MASKS = "roi_head.mask_head."


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({f"{MASKS}conv_logits.weight": None}, f"{MASKS}conv_logits.weight is missing"),
        ({f"{MASKS}convs.1.conv.bias": None}, f"{MASKS}convs.1.conv.bias is missing"),
        ({f"{BOX}fc_cls.weight": torch.ones(7, 32)}, f"{BOX}fc_cls.bias is (4,), not (7,)"),
        ({f"{BOX}fc_reg.weight": torch.ones(8, 32)}, f"{BOX}fc_reg.weight is (8, 32), not (12,"),
        ({"rpn_head.rpn_reg.bias": torch.ones(3)}, "rpn_head.rpn_reg.bias is (3,), not (12,)"),
        ({"neck.fpn_convs.3.conv.weight": None}, "neck.fpn_convs.3.conv.weight is missing"),
        ({"neck.fpn_convs.4.conv.weight": torch.ones(16, 16, 3, 3)},
         "neck.fpn_convs.4.conv.weight is unexpected"),
    ],
)  # fmt: skip
def test_a_damaged_one_is_refused_and_its_backbone_offered(weights, words, save):
    line, options = refusal(NetworkError, save(weights=weights))
    assert line.startswith(
        "epoch_12.pth: the weights beside the backbone are nearest to a Mask R-C"
    )
    assert words in line
    assert line.endswith("; for its backbone alone, say resnet18_backbone")
    assert options == ("arch",)
    assert load(save(weights=weights), arch="resnet18_backbone").facts["num_outputs"] is None


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("type='nms'", "type='soft_nms'", "type is 'soft_nms', file (meta.config.model.test_cf"),
        ("num_classes=3", "num_classes=80", "classes is 80, file (meta.config.model.roi_head.b"),
        ("depth=18", "depth=50", "depth is 50, file (meta.config.model.backbone.depth): by the"),
        ("'MaskRCNN'", "'CascadeRCNN'", "type is 'CascadeRCNN', file (meta.config.model.type):"),
        ("nms_pre=60", "nms_pre=-1", "a detector cannot compute with nms_pre -1: it must be fr"),
    ],
)  # fmt: skip
def test_a_text_that_cannot_be_is_refused_and_the_backbone_offered(old, new, line, save):
    path = save(changed(old, new))
    found, options = refusal(InputError, path)
    assert found.startswith(f"epoch_12.pth: {line}")
    assert found.endswith("; for its backbone alone, say resnet18_backbone")
    assert options == ("arch",)
    assert load(path, arch="resnet18_backbone").facts["num_outputs"] is None


def test_two_texts_that_differ(save):
    hub = {"runtime_info": {"cfg": changed("nms_pre=60", "nms_pre=61")}}
    line, _ = refusal(InputError, save(message_hub=hub))
    assert line == (
        "epoch_12.pth: has two configurations of a detector, file (meta.config) and file "
        "(message_hub.runtime_info.cfg), which differ: leave one in it"
    )
    hub = {"runtime_info": {"cfg": f"{CONFIG}\nwork_dir = 'x'"}}
    assert load(save(message_hub=hub)).facts["arch"] == "mask_rcnn_resnet18"


@pytest.mark.parametrize(
    ("options", "line", "fields"),
    [
        (
            {"input_shape": (3, 100, 96)},
            "an input of 1x3x100x96 does not fit this detector: height and width must be multiples "
            "of 32",
            ("input_shape",),
        ),
        (
            {"input_shape": (1, 64, 96)},
            "an input of 1x64x96 does not fit detectors of two stages, whole: wanted Nx3xNxN",
            ("input_shape",),
        ),
        ({"input_names": ("x",)}, "the input names must be 2, and distinct, got", ("input_names",)),
        ({"output_names": ("a", "b")}, "the output names must be 5", ("output_names",)),
        (
            {"output_names": ("image_size", *"bcde")},
            "an input is called image_size, and so cannot be an output",
            ("output_names",),
        ),
        (
            {"arch": "faster_rcnn_resnet18"},
            "faster_rcnn_resnet18 does not fit: the keys and shapes are mask_rcnn_resnet18's",
            ("arch",),
        ),
        (
            {"arch": "mask_rcnn_resnet50"},
            "resnet50_backbone does not fit: the keys and shapes are resnet18_backbone's",
            ("arch",),
        ),
        ({"arch": "mask_rcnn_vgg"}, "unknown network 'vgg_backbone'", ("arch", "list")),
        ({"e_lambda": -1.0}, "lambda must be a finite number >= 0", ("e_lambda",)),
    ],
)
def test_options_that_do_not_fit(options, line, fields, save):
    found, named = refusal(UsageError, save(), **options)
    assert found.startswith(line)
    assert named == fields


def test_the_smallest_input_is_told(save):
    line, _ = refusal(InputError, save(), input_shape=(3, 32, 32))
    assert "reaches SimAM layer4.0." in line
    assert "as a 1x1 map" in line


def test_a_detectors_name_of_a_file_without_heads(save):
    heads = {key: None for key in tiny.weights(tiny.identity()) if not key.startswith("backbone.")}
    line, _ = refusal(UsageError, save(weights=heads), arch="mask_rcnn_resnet18")
    assert line == "mask_rcnn_resnet18 does not fit: the file has no heads"
