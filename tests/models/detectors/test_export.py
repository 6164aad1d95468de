"""Detectors export whatever is free, with their operators as nodes, and compute the same there."""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from simam_deploy.models.attention.simam import as_nodes, simam
from simam_deploy.op import contract
from simam_deploy.op.detection import ALIGN_OP_TYPE, ATTRIBUTES, INPUTS, NMS_OP_TYPE
from tests.marks import slow_but
from tests.models.detectors import naive, tiny

OUTPUTS = ["num_dets", "boxes", "scores", "labels", "masks"]
DATA_DEPENDENT = {"Loop", "If", "Scan", "NonZero", "NonMaxSuppression", "Compress", "Unique"}


class SimAM(OpRun):
    op_domain = contract.DOMAIN

    def _run(self, x: Any, e_lambda: float) -> Any:
        return (simam(torch.from_numpy(x), e_lambda).numpy(),)


class MultilevelRoIAlign(OpRun):
    op_domain = contract.DOMAIN

    def _run(self, rois: Any, *maps: Any, **attributes: Any) -> Any:
        values = [attributes[name] for name in ATTRIBUTES[ALIGN_OP_TYPE]]
        return (naive.roi_align(rois, maps, *values).astype(maps[0].dtype),)


class BatchedNMS(OpRun):
    op_domain = contract.DOMAIN

    def _run(
        self, boxes: Any, scores: Any, groups: Any, iou_threshold: Any, num_groups: Any
    ) -> Any:
        assert groups.min() >= 0 and groups.max() < num_groups
        return (naive.nms(boxes, scores, groups, iou_threshold),)


class GatherElements(OpRun):
    """onnx 1.23 itself takes one element a row where the axis is the last of two."""

    def _run(self, data: Any, indices: Any, axis: int = 0) -> Any:
        return (np.take_along_axis(data, indices, axis),)


OPERATORS = [SimAM, MultilevelRoIAlign, BatchedNMS, GatherElements]


@functools.cache
def _exported(mask: bool) -> onnx.ModelProto:
    free = {0: "batch", 2: "height", 3: "width"}
    detector = tiny.detector(mask)
    with as_nodes(detector), warnings.catch_warnings():
        # torch 2.13's exporter calls a pytree function it has deprecated itself.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings("ignore", "# The axis name: batch will not be used")
        program = torch.onnx.export(
            detector, tiny.inputs(2), dynamo=True, verbose=False,
            input_names=["image", "image_size"], output_names=OUTPUTS[: 5 if mask else 4],
            dynamic_shapes=(free, {0: "batch"}),
        )  # fmt: skip
    assert program is not None
    return program.model_proto


@pytest.mark.parametrize("mask", slow_but([True], [True, False]))
def test_the_operators_are_nodes(mask: bool) -> None:
    nodes = _exported(mask).graph.node
    kinds = Counter(node.op_type for node in nodes)
    assert (kinds[NMS_OP_TYPE], kinds[ALIGN_OP_TYPE], kinds["SimAM"]) == (2, 1 + mask, 8)
    assert not DATA_DEPENDENT & set(kinds)
    for node in nodes:
        if node.op_type in ATTRIBUTES:
            assert node.domain == contract.DOMAIN
            assert {attribute.name for attribute in node.attribute} == set(ATTRIBUTES[node.op_type])
            assert len(node.input) == len(INPUTS[node.op_type])
    thresholds = [
        onnx.helper.get_node_attr_value(node, "iou_threshold")
        for node in nodes if node.op_type == NMS_OP_TYPE
    ]  # fmt: skip
    assert thresholds == [np.float32(0.7), np.float32(0.5)]


def test_inputs_and_outputs_are_named_and_free() -> None:
    graph = _exported(True).graph

    def dims(value: Any) -> list[Any]:
        return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]

    assert {v.name: dims(v) for v in graph.input} == {
        "image": ["batch", 3, "height", "width"],
        "image_size": ["batch", 2],
    }
    assert {v.name: dims(v) for v in graph.output} == {
        "num_dets": ["batch"],
        "boxes": ["batch", 12, 4],
        "scores": ["batch", 12],
        "labels": ["batch", 12],
        "masks": ["batch", 12, 28, 28],
    }


@pytest.mark.parametrize("size", [(1, 96, 64), (3, 64, 128)])
def test_other_sizes_and_batches_give_what_torch_gives(size: tuple[int, int, int]) -> None:
    model = tiny.detector(True)
    inputs = tiny.inputs(*size)
    wanted = [output.numpy() for output in model(*inputs)]
    session = ReferenceEvaluator(_exported(True), new_ops=OPERATORS)
    got = session.run(OUTPUTS, {"image": inputs[0].numpy(), "image_size": inputs[1].numpy()})
    for name, one, other in zip(OUTPUTS, got, wanted, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3, err_msg=name)
