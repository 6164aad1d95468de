"""What a detector here does in one way alone, of what a configuration could ask for."""

import pytest

from simam_deploy.errors import InputError
from simam_deploy.models.detectors.settings import DetectorSettings
from simam_deploy.source.stated.detector.fixed import ONLY
from simam_deploy.source.stated.detector.reading import read_detector
from simam_deploy.source.stated.fields import held


def of_model(path, **said):
    """A configuration in which a part of the model says so."""
    model = part = {"type": "MaskRCNN"}
    for name in filter(None, path.split(".")):
        part[name] = part = {}
    part |= said
    return held({"model": model}, "meta.cfg.")


FIXED = [(path, name) for path, known in ONLY.items() for name in known]


@pytest.mark.parametrize(("path", "name"), FIXED)
def test_what_a_detector_here_does_in_one_way_alone(path, name):
    place = ".".join(filter(None, ("meta.cfg.model", path, name)))
    for other in ("another", 77, [77, 78], {"type": "another"}):
        with pytest.raises(InputError) as caught:
            read_detector(of_model(path, **{name: other}))
        assert str(caught.value).startswith(f"{name} is ")
        assert f", file ({place}): " in str(caught.value)
    for one in ONLY[path][name]:
        read_detector(of_model(path, **{name: one}))


PRESET = {
    "backbone": {
        "num_stages": 4, "strides": (1, 2, 2, 2), "dilations": (1, 1, 1, 1), "dcn": None,
        "out_indices": (0, 1, 2, 3), "style": "pytorch", "deep_stem": False, "avg_down": False,
        "norm_cfg": {"type": "BN", "requires_grad": True}, "norm_eval": True, "with_cp": False,
    },
    "neck": {
        "type": "FPN", "start_level": 0, "end_level": -1, "add_extra_convs": False,
        "relu_before_extra_convs": False, "no_norm_on_lateral": False, "conv_cfg": None,
        "norm_cfg": None, "act_cfg": None, "upsample_cfg": {"mode": "nearest"},
    },
    "rpn_head": {
        "type": "RPNHead", "num_classes": 1, "num_convs": 1, "reg_decoded_bbox": False,
        "loss_cls": {"type": "CrossEntropyLoss", "use_sigmoid": True},
    },
    "rpn_head.anchor_generator": {
        "type": "AnchorGenerator", "base_sizes": None, "scale_major": True, "centers": None,
        "octave_base_scale": None, "scales_per_octave": None, "center_offset": 0.0,
        "use_box_type": False,
    },
    "roi_head.bbox_head.bbox_coder": {
        "type": "DeltaXYWHBBoxCoder", "target_means": (0.0,) * 4, "clip_border": True,
        "target_stds": (0.1, 0.1, 0.2, 0.2), "add_ctr_clamp": False, "ctr_clamp": 32,
    },
    "roi_head.bbox_roi_extractor": {
        "type": "SingleRoIExtractor", "featmap_strides": [4, 8, 16, 32], "finest_scale": 56,
        "roi_layer": {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 0, "aligned": True,
                      "pool_mode": "avg", "use_torchvision": False},
    },
    "roi_head.bbox_head": {
        "with_avg_pool": False, "reg_predictor_cfg": {"type": "Linear"}, "norm_cfg": None,
        "cls_predictor_cfg": {"type": "Linear"}, "loss_cls": {"use_sigmoid": False},
    },
    "roi_head.mask_head": {
        "type": "FCNMaskHead", "conv_kernel_size": 3, "predictor_cfg": {"type": "Conv"},
        "upsample_cfg": {"type": "deconv", "scale_factor": 2}, "conv_cfg": None, "norm_cfg": None,
    },
}  # fmt: skip


@pytest.mark.parametrize("path", PRESET)
def test_mmdetections_presets_may_be_said(path):
    """As far as they have a bearing on what is detected, of all versions."""
    assert read_detector(of_model(path, **PRESET[path])).settings == DetectorSettings()
