"""A whole detector from mmdetection's checkpoint to a proved file."""

import json

import onnx
import pytest

from simam_deploy.cli.export import main
from tests.source.mmdetection import CLASSES, CONFIG, OUTPUTS, changed, save

__all__ = ["save"]

PUBLISHED = changed(
    "mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], to_rgb=False",
    "mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True",
    CONFIG,
)


@pytest.mark.slow
def test_a_mask_rcnn_with_free_sizes(save, capsys):
    """20 s of processor time, most of it torch.onnx's."""
    path = save(PUBLISHED)
    assert main([str(path), "--dynamic", "hw"]) == 0
    printed = capsys.readouterr()
    assert (
        "a whole Mask R-CNN; its backbone alone is taken where resnet18_backbone is" in printed.out
    )
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["arch"] == "mask_rcnn_resnet18"
    assert facts["classes"] == list(CLASSES)
    assert facts["detector"]["nms_pre"] == 60
    assert facts["preprocessing"]["size_input"] == "image_size"
    assert facts["validation"]["passed"]
    graph = onnx.load(path.with_suffix(".onnx")).graph
    assert [value.name for value in graph.input] == ["image", "image_size"]
    assert tuple(value.name for value in graph.output) == OUTPUTS
