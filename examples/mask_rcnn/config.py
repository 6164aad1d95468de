"""The detector, and its configuration as mmdetection 2 keeps it in a checkpoint: text."""

from simam_deploy import NETWORKS
from simam_deploy.models.create import expected_shapes
from simam_deploy.models.detectors.create import create_detector
from simam_deploy.models.detectors.detector import Detector
from simam_deploy.models.detectors.identity import DetectorIdentity, MaskSizes
from simam_deploy.models.detectors.settings import DetectorSettings
from simam_deploy.models.identify import identify

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
E_LAMBDA = 0.0001
SETTINGS = DetectorSettings(
    scales=(6.0,),
    ratios=(1.0,),
    nms_pre=60,
    max_proposals=40,
    score_threshold=0.3,
    iou_threshold=0.3,
    max_detections=20,
)
"""As the text below has them: one anchor a cell, and few proposals."""
CONFIG = """
img_norm_cfg = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
model = dict(
    type='MaskRCNN',
    backbone=dict(
        type='ResNetAM',
        depth=18,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='BN', requires_grad=True),
        style='pytorch',
        attention_type='simam',
        attention_param=0.0001),
    neck=dict(type='FPN', in_channels=[16, 32, 64, 128], out_channels=32, num_outs=5),
    rpn_head=dict(
        type='RPNHead',
        in_channels=32,
        feat_channels=32,
        anchor_generator=dict(
            type='AnchorGenerator', scales=[6], ratios=[1.0], strides=[4, 8, 16, 32, 64]),
        bbox_coder=dict(
            type='DeltaXYWHBBoxCoder',
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[1.0, 1.0, 1.0, 1.0]),
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
            out_channels=32,
            featmap_strides=[4, 8, 16, 32]),
        bbox_head=dict(
            type='Shared2FCBBoxHead',
            in_channels=32,
            fc_out_channels=64,
            roi_feat_size=7,
            num_classes=3,
            bbox_coder=dict(
                type='DeltaXYWHBBoxCoder',
                target_means=[0.0, 0.0, 0.0, 0.0],
                target_stds=[0.1, 0.1, 0.2, 0.2]),
            reg_class_agnostic=False),
        mask_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=32,
            featmap_strides=[4, 8, 16, 32]),
        mask_head=dict(
            type='FCNMaskHead', num_convs=2, in_channels=32, conv_out_channels=32, num_classes=3)),
    test_cfg=dict(
        rpn=dict(nms_pre=60, max_per_img=40, nms=dict(type='nms', iou_threshold=0.7)),
        rcnn=dict(
            score_thr=0.3, nms=dict(type='nms', iou_threshold=0.3), max_per_img=20)))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiScaleFlipAug',
        img_scale=(192, 128),
        flip=False,
        transforms=[
            dict(type='Resize', keep_ratio=True),
            dict(type='RandomFlip'),
            dict(type='Normalize', **img_norm_cfg),
            dict(type='Pad', size_divisor=32),
            dict(type='ImageToTensor', keys=['img']),
            dict(type='Collect', keys=['img'])])]
"""


def new_detector(classes: int) -> Detector:
    """Make the detector that the text describes, in training mode."""
    network = NETWORKS["resnet18_backbone"]
    shapes = expected_shapes(network, (16,), None)
    identity = DetectorIdentity(
        backbone=identify({f"backbone.{key}": shape for key, shape in shapes.items()}),
        classes=classes,
        class_agnostic=False,
        anchors=SETTINGS.anchors,
        fpn_width=32,
        rpn_width=32,
        roi_size=7,
        fc_width=64,
        fc_layers=2,
        mask=MaskSizes(width=32, layers=2, planes=classes),
        heads=(),
    )
    return create_detector(identity, SETTINGS, E_LAMBDA)
