"""Networks are told apart by keys and shapes, strictly."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import torch

from simam_deploy.errors import NetworkError, UsageError
from simam_deploy.models.create import create, expected_shapes
from simam_deploy.models.identify import Identity, identify
from simam_deploy.models.sizes import LARGEST_SIZE
from simam_deploy.models.spelling import PLAIN, TORCHVISION
from simam_deploy.models.zoo import BACKBONE, NETWORKS, Network

Shapes = dict[str, tuple[int, ...]]
PARAMETER_FREE = {name: net for name, net in NETWORKS.items() if net.family.name != "wespeaker"}


def shapes_of(name: str, num_outputs: int | None = None) -> Shapes:
    network = NETWORKS[name]
    return dict(expected_shapes(network, network.widths, num_outputs or network.num_outputs))


def plain_shapes(name: str) -> Shapes:
    return {TORCHVISION.respell(key): shape for key, shape in shapes_of(name).items()}


def refusal(shapes: Shapes, arch: str | None = None) -> str:
    with pytest.raises(NetworkError) as caught:
        identify(shapes, arch)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1000
    return message


def module_shapes(network: Network, **sizes: object) -> Shapes:
    with torch.device("meta"):
        model = create(network, **sizes)  # type: ignore[arg-type]
    return {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_told_by_its_modules_keys(name: str) -> None:
    network = NETWORKS[name]
    shapes = module_shapes(network)
    identity = identify(shapes)
    assert identity == Identity(
        network, network.num_outputs, network.widths, {key: key for key in shapes}
    )
    assert identify(shapes, name) == identity


@pytest.mark.parametrize("name", NETWORKS)
def test_any_width_and_class_count(name: str) -> None:
    network = NETWORKS[name]
    widths = tuple(width * 2 for width in network.widths)
    outputs = None if network.family is BACKBONE else 7
    identity = identify(module_shapes(network, widths=widths, num_outputs=outputs))
    assert (identity.network, identity.widths, identity.num_outputs) == (network, widths, outputs)


def test_uneven_mobilenet_widths() -> None:
    # torchvision's width_mult=0.35, rounded to multiples of 8: stem 16, first stage 8.
    widths = (16, 8, 8, 16, 24, 32, 56, 112, 1280)
    for name in ("mobilenet_v2", "cifar_mobilenetv2"):
        assert identify(module_shapes(NETWORKS[name], widths=widths)).widths == widths


@pytest.mark.parametrize("name", ["resnet50_backbone", "resnet18_backbone", "resnet50d_backbone"])
def test_a_detectors_backbone(name: str) -> None:
    rest: Shapes = {
        "neck.lateral_convs.0.conv.weight": (256, 256, 1, 1),
        "rpn_head.rpn_conv.weight": (256, 256, 3, 3),
        "roi_head.bbox_head.fc_cls.weight": (81, 1024),
        "backbone.fc.weight": (1000, 2048),
    }
    shapes = {f"backbone.{key}": shape for key, shape in shapes_of(name).items()} | rest
    identity = identify(shapes)
    assert identity.network.name == name
    assert identity.num_outputs is None
    assert identity.dropped == tuple(rest)
    assert identity.renames == {f"backbone.{key}": key for key in shapes_of(name)}


def test_strange_keys_beside_a_backbone() -> None:
    shapes = {f"backbone.{key}": shape for key, shape in shapes_of("resnet18_backbone").items()}
    message = refusal(shapes | {"foo.weight": (3,), "foo.bias": (3,)})
    assert message.startswith("foo.weight stands beside backbone.* and is no known part")
    assert message.endswith("nor are 1 other keys")
    assert "nearest is resnet18_backbone" in refusal(shapes | {"backbone.foo": (3,)})


def test_only_backbones_stand_under_the_prefix() -> None:
    shapes = {f"backbone.{key}": shape for key, shape in shapes_of("cifar_resnet20").items()}
    assert "fit no known network" in refusal(shapes)


def test_the_classifier_of_the_training_speakers_is_left_out() -> None:
    shapes = shapes_of("wespeaker_simam_resnet34_asp")
    head: Shapes = {"projection.weight": (17982, 256), "projection.bias": (1, 1)}
    identity = identify(shapes | head)
    assert identity.dropped == tuple(head)
    assert set(identity.renames) == set(shapes)
    assert "projection.weight is unexpected" in refusal(shapes_of("resnet18") | head)


def test_a_classifier_is_no_backbone() -> None:
    with pytest.raises(UsageError, match=r"resnet50 does not fit.*are resnet50_backbone's"):
        identify(shapes_of("resnet50_backbone"), "resnet50")
    with pytest.raises(UsageError, match=r"are resnet50's"):
        identify(shapes_of("resnet50"), "resnet50_backbone")


@pytest.mark.parametrize("name", PARAMETER_FREE)
def test_plain_keys_need_arch(name: str) -> None:
    shapes = plain_shapes(name)
    message = refusal(shapes)
    assert f"a plain {name}'s" in message
    assert f"say that it is {name}" in message
    identity = identify(shapes, name)
    assert identity.network.name == name
    assert set(identity.renames.values()) == set(shapes_of(name))
    assert all(shapes[key] == shapes_of(name)[new] for key, new in identity.renames.items())


def test_plain_mobilenet_of_the_authors_has_no_dropout() -> None:
    shapes = {PLAIN.respell(key): shape for key, shape in shapes_of("mobilenet_v2").items()}
    identity = identify(shapes, "mobilenet_v2")
    assert identity.renames["classifier.0.weight"] == "classifier.0.weight"
    assert identity.renames["features.1.conv.0.1.weight"] == "features.1.conv.0.2.weight"
    assert identity.renames["features.2.conv.1.1.bias"] == "features.2.conv.1.2.bias"


def test_arch_must_agree() -> None:
    with pytest.raises(UsageError, match=r"resnet34 does not fit: .* are resnet18's"):
        identify(shapes_of("resnet18"), "resnet34")
    with pytest.raises(UsageError, match=r"resnet34 does not fit: .* are resnet18's"):
        identify(plain_shapes("resnet18"), "resnet34")


def test_unknown_arch_lists_close_names() -> None:
    with pytest.raises(UsageError, match=r"unknown network 'resnet_50'.*resnet50"):
        identify(shapes_of("resnet18"), "resnet_50")
    with pytest.raises(UsageError, match="see the list"):
        identify(shapes_of("resnet18"), "!")


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("layer1.0.bn2.1.fc.0.weight", "SE"),
        ("features.1.conv.3.fc.2.weight", "SE"),
        ("block1.layer.0.conv2.1.fc.0.weight", "SE"),
        ("layer3.1.se.fc1.weight", "SE"),
        ("layer1.0.se_module.conv.weight", "SE"),
        ("layer1.0.bn3.1.ChannelGate.mlp.1.weight", "CBAM"),
        ("layer1.0.bn3.1.SpatialGate.spatial.conv.weight", "CBAM"),
    ],
)
def test_attention_in_one_place_alone_is_refused(key: str, kind: str) -> None:
    message = refusal(plain_shapes("resnet50") | {key: (4, 64)})
    assert f"{key} is a parameter of {kind} attention" in message
    assert f"the nearest is resnet50 with {kind}, where" in message
    message = refusal(shapes_of("resnet18") | {key: (4, 64)}, "resnet18")
    assert f"{key} is a parameter of {kind} attention" in message


def test_near_misses_name_the_network_and_the_differences() -> None:
    shapes = shapes_of("resnet18")
    lacking = {key: shape for key, shape in shapes.items() if key != "layer4.1.conv2.0.weight"}
    assert refusal(lacking) == (
        "the weights fit no known network; the nearest is resnet18, where 121 of 122 keys fit: "
        "layer4.1.conv2.0.weight is missing"
    )
    assert refusal(shapes | {"extra": (3,)}).endswith("122 of 122 keys fit: extra is unexpected")
    message = refusal(shapes | {"layer1.0.conv1.weight": (64, 64, 1, 1)})
    assert message.endswith("layer1.0.conv1.weight is (64, 64, 1, 1), not (64, 64, 3, 3)")
    message = refusal(shapes | {"bn1.weight": (63,)})
    assert message.endswith("121 of 122 keys fit: bn1.weight is (63,), not (64,)")
    message = refusal({k: s for k, s in shapes.items() if not k.startswith("layer4.1.")})
    assert message.endswith("layer4.1.bn1.weight is missing; and 8 more")


def test_strangers_are_near_to_none(monkeypatch) -> None:
    """No network is named as the nearest of which no key is there, nor are all 40 made for it."""
    made = []

    def noted(network, *sizes):
        made.append(network.name)
        return expected_shapes(network, *sizes)

    monkeypatch.setattr("simam_deploy.models.create.expected_shapes", noted)
    yolo = {"model.0.conv.weight": (16, 3, 3, 3), "model.0.bn.weight": (16,)}
    assert refusal(yolo) == "the weights are of no known network: none has a model.0.conv.weight"
    assert len(set(made)) == len({network.body for network in NETWORKS.values()})


def test_arch_names_the_network_to_compare_with() -> None:
    shapes = {k: s for k, s in shapes_of("resnet18").items() if k != "fc.bias"}
    assert "nearest is resnet18, where 121 of 122" in refusal(shapes, "resnet18")
    assert (
        "nearest is resnet18, not resnet34, where 121 of 218 keys fit: "
        "layer1.2.conv1.weight is missing;"
    ) in refusal(shapes, "resnet34")


def test_plain_near_miss_is_called_plain() -> None:
    shapes = {k: s for k, s in plain_shapes("resnet50").items() if k != "layer1.1.bn3.weight"}
    assert "nearest is plain resnet50, where 319 of 320" in refusal(shapes)


def test_unknown_depths_and_grouping() -> None:
    deeper = shapes_of("cifar_resnet20") | {
        key.replace("layer1.2", "layer1.3"): shape
        for key, shape in shapes_of("cifar_resnet20").items()
        if key.startswith("layer1.2")
    }
    assert "nearest is cifar_resnet20, where 128 of 128 keys fit" in refusal(deeper)
    wide = {
        key: (128, *shape[1:]) if key == "layer1.0.conv1.weight" else shape
        for key, shape in shapes_of("resnet50").items()
    }
    assert "layer1.0.conv1.weight is (128, 64, 1, 1), not (64, 64, 1, 1)" in refusal(wide)


@pytest.mark.parametrize("name", ["resnet18", "cifar_preresnet20", "wespeaker_simam_resnet34_asp"])
def test_counters_may_be_missing_but_not_misshapen(name: str) -> None:
    shapes = shapes_of(name)
    without = {k: s for k, s in shapes.items() if not k.endswith("num_batches_tracked")}
    assert identify(without).network.name == name
    counter = next(key for key in shapes if key.endswith("num_batches_tracked"))
    assert f"{counter} is (1,), not ()" in refusal(shapes | {counter: (1,)})


HOSTILE: dict[str, Shapes] = {
    "nothing": {},
    "absurd": {"conv1.weight": (10**15,), "bn1.weight": (10**15,)},
    "absurd width": shapes_of("resnet18") | {"bn1.weight": (10**15,)},
    "absurd classes": shapes_of("resnet18") | {"fc.weight": (10**15, 512), "fc.bias": (10**15,)},
    "scalars": dict.fromkeys(shapes_of("resnet18"), ()),
    "no elements": dict.fromkeys(shapes_of("resnet18"), (0,)),
    "no channel in a group": shapes_of("resnext50_32x4d") | {"bn1.weight": (8,)},
    "one empty": shapes_of("resnet18") | {"fc.bias": (0,)},
    "rank 64": dict.fromkeys(shapes_of("resnet18"), (1,) * 64),
    "deep index": {"layer1.999999999.conv1.weight": (64, 64, 3, 3)},
    "deep index in a resnet": shapes_of("resnet18") | {f"layer1.{9**20}.conv1.weight": (1,)},
    "unprintable": {"\n\x1b[2J\u202e" * 100: (3,)},
    "empty key": {"": (3,)},
    "only a prefix": {"backbone.": (3,)},
    "only a dropped part": {"backbone.fc.weight": (3, 3)},
    "many keys": {f"layer1.{index}.conv2.0.weight": (64, 64, 3, 3) for index in range(60_000)},
    "many keys and a resnet": shapes_of("resnet50") | {str(index): () for index in range(60_000)},
    "many dots": {"layer1." * 30_000: (3,)},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_quickly(kind: str) -> None:
    before = time.process_time()
    refusal(HOSTILE[kind])
    # Measured 0.1 to 0.5 s; a mistake here takes minutes or all the memory.
    assert time.process_time() - before < 10


def test_the_largest_sizes_still_make_a_module() -> None:
    network = NETWORKS["resnext50_32x4d"]
    shapes = expected_shapes(network, (LARGEST_SIZE,), LARGEST_SIZE)
    assert identify(shapes).widths == (LARGEST_SIZE,)
    assert module_shapes(network, widths=(LARGEST_SIZE,), num_outputs=LARGEST_SIZE) == shapes


def test_no_torch_is_needed() -> None:
    code = (
        "import sys, simam_deploy.models.identify, simam_deploy.models.zoo;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
