"""Networks with other attention than SimAM: sizes, keys, outputs, and being told apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from simam_deploy.errors import NetworkError, UsageError
from simam_deploy.models.attention.bam import BAM
from simam_deploy.models.attention.choice import REDUCTION
from simam_deploy.models.attention.gc import GC
from simam_deploy.models.attention.kinds import KINDS, AttentionName
from simam_deploy.models.build import build
from simam_deploy.models.create import create, expected_shapes
from simam_deploy.models.identify import Identity, identify
from simam_deploy.models.zoo import NETWORKS, Network
from tests.golden.attention import CASES, Compared, compared
from tests.marks import slow_but

BODIES = (
    "resnet18",
    "mobilenet_v2",
    "cifar_resnet20_bottleneck",
    "cifar_preresnet20",
    "cifar_preresnet20_bottleneck",
    "cifar_wideresnet28x10",
    "cifar_mobilenetv2",
)
OTHERS = tuple(name for name, kind in KINDS.items() if kind.sign)
QUICK = (
    "cifar_preresnet20-cbam",
    "cifar_preresnet20_bottleneck-se",
    "cifar_resnet20-none",
    "cifar_resnet20-se",
    "cifar_resnet20_bottleneck-cbam",
    "mobilenet_v2-eca",
    "resnet18-eca",
)
KEYS = [(name, attention) for name in BODIES for attention in OTHERS]
QUICK_KEYS = [pair for pair in KEYS if pair[0] == "cifar_preresnet20" or pair[1] == "se"]


def variant(name: str, attention: AttentionName) -> Network:
    return replace(NETWORKS[name], attention=attention)


def shapes_of(network: Network) -> dict[str, tuple[int, ...]]:
    return dict(expected_shapes(network, network.widths, network.num_outputs))


def parameters(modules: Iterable[nn.Module]) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def added(name: str, attention: AttentionName, inner: tuple[int, ...] = ()) -> int:
    with torch.device("meta"):
        made = create(variant(name, attention), inner=inner), create(variant(name, "none"))
    return parameters(made[:1]) - parameters(made[1:])


# Hu et al. say 2.5 M and 4.7 M (2 C^2 / 16 a block). Woo et al. have 11.78 M, 28.09 M and 49.33 M
# against 11.69, 25.56 and 44.55; Lee et al. 25.62 M (4 C a block).
@pytest.mark.parametrize(
    ("name", "attention", "count"),
    [
        ("resnet50", "se", 2_514_944),
        ("resnet101", "se", 4_743_168),
        ("resnet18", "cbam", 89_880),
        ("resnet50", "cbam", 2_532_592),
        ("resnet101", "cbam", 4_781_012),
        ("resnet50", "srm", 60_416),
        ("resnet50", "simam", 0),
        ("mobilenet_v2", "simam", 0),
        ("cifar_preresnet56", "simam", 0),
    ],
)
def test_what_it_adds_is_what_its_paper_says(
    name: str, attention: AttentionName, count: int
) -> None:
    assert added(name, attention) == count


def test_ecas_80_parameters() -> None:
    """Of the authors' ResNet-50, kernels 3, 5, 5 and 7; 31 of their MobileNetV2."""
    assert added("resnet50", "eca", (3,) * 3 + (5,) * 10 + (7,) * 3) == 80
    assert added("mobilenet_v2", "eca", (1,) * 10 + (3,) * 7) == 31


def test_gc_and_bam_where_their_papers_place_them() -> None:
    """Cao et al. have 28.08 M with GC in stages 3 to 5; Park et al. 25.92 M with three BAM."""
    plain = parameters([create(variant("resnet50", "none"))])
    blocks = [512] * 4 + [1024] * 6 + [2048] * 3
    gc = parameters(GC(channels, channels // REDUCTION) for channels in blocks)
    bam = parameters(BAM(channels, channels // REDUCTION) for channels in (256, 512, 1024))
    assert round((plain + gc) / 1e6, 2) == 28.08
    assert round((plain + bam) / 1e6, 2) == 25.92


def in_float64(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: t.double() if t.is_floating_point() else t for key, t in weights.items()}


def identity_of(case: Compared) -> Identity:
    shapes = {key: tuple(tensor.shape) for key, tensor in case.state_dict.items()}
    return identify(shapes, attention="none" if case.attention == "none" else None)


def test_there_are_sixteen_cases() -> None:
    assert len(CASES) == 16


@pytest.mark.parametrize("name", slow_but(QUICK, CASES))
def test_it_computes_what_its_authors_code_does(name: str) -> None:
    case = compared(name)
    identity = identity_of(case)
    assert (identity.network.name, identity.network.attention) == (case.arch, case.attention)
    model = build(identity, in_float64(case.state_dict), None)
    with torch.no_grad():
        got = model(torch.from_numpy(case.run.input).double()).numpy()
    assert case.run.error([got]) <= 5.1e-9  # half of the ninth digit


@pytest.mark.parametrize("pair", slow_but(QUICK_KEYS, KEYS))
def test_the_keys_tell_the_attention(pair: tuple[str, AttentionName]) -> None:
    name, attention = pair
    network = variant(name, attention)
    shapes = shapes_of(network)
    identity = identify(shapes)
    assert identity.network == network
    assert identity == identify(shapes, name, attention)
    assert identity.renames == {key: key for key in shapes}
    assert identity.inner == ()


@pytest.mark.parametrize("attention", [name for name in OTHERS if KINDS[name].inner])
def test_any_inner_sizes(attention: AttentionName) -> None:
    network, sizes = variant("cifar_resnet20", attention), (1, 3, 5, 7, 9, 1, 3, 5, 7)
    shapes = dict(expected_shapes(network, network.widths, 10, sizes))
    assert identify(shapes).inner == sizes


@pytest.mark.parametrize("name", slow_but(("cifar_preresnet20", "mobilenet_v2"), BODIES))
def test_without_attention_the_keys_are_plain(name: str) -> None:
    network = variant(name, "none")
    shapes = shapes_of(network)
    identity = identify(shapes, attention="none")
    assert identity.network == network
    assert identity.network.title == f"{name} without attention"
    assert identify(shapes, name, "none") == identity
    with pytest.raises(NetworkError, match="if there is none, that it has no attention") as caught:
        identify(shapes)
    assert caught.value.options == ("arch", "attention")
    for said in ((name, None), (None, "simam"), (name, "simam")):
        assert identify(shapes, *said).network == NETWORKS[name]


@pytest.mark.parametrize(
    ("held", "said", "message"),
    [
        ("se", "none", "fc.0.weight is a parameter of SE attention.*said to have no attention"),
        ("se", "cbam", "of SE attention, and the network was said to have CBAM"),
        ("eca", "simam", "of ECA attention, and the network was said to have SimAM"),
        ("simam", "se", "said to have SE, and no key is a parameter of it"),
        ("none", "gc", "said to have GC, and no key is a parameter of it"),
        ("simam", "none", "the keys show SimAM.*said to have no attention"),
    ],
)
def test_what_is_said_must_agree(held: AttentionName, said: AttentionName, message: str) -> None:
    shapes = shapes_of(variant("cifar_resnet20", held))
    with pytest.raises(UsageError, match=message) as caught:
        identify(shapes, attention=said)
    assert caught.value.options == ("attention",)


def test_arch_names_the_network_and_not_its_attention() -> None:
    shapes = shapes_of(variant("cifar_resnet20", "se"))
    assert identify(shapes, "cifar_resnet20").network.title == "cifar_resnet20 with SE"
    with pytest.raises(UsageError, match=r"cifar_resnet32 does not fit.*cifar_resnet20 with SE's"):
        identify(shapes, "cifar_resnet32")


@pytest.mark.slow  # every network is made with BAM, to name the nearest
def test_other_layouts_are_refused_by_name() -> None:
    """BAM between the stages, as its authors place it; of timm's SE see `test_identify`."""
    bam: dict[str, tuple[int, ...]] = {"bam1.channel_att.gate_c.gate_c_fc_0.weight": (4, 64)}
    with pytest.raises(NetworkError, match=r"bam1\..* is a parameter of BAM attention, and the"):
        identify(shapes_of(variant("resnet18", "none")) | bam)


def test_a_kernel_of_even_size_is_misshapen() -> None:
    shapes = shapes_of(variant("cifar_resnet20", "eca"))
    key = next(key for key in shapes if key.endswith(".conv.weight"))
    with pytest.raises(NetworkError, match=r"is \(1, 1, 4\), not \(1, 1, 3\)"):
        identify(shapes | {key: (1, 1, 4)})


def test_a_yolo_networks_convolutions_are_no_eca() -> None:
    with pytest.raises(NetworkError, match="^the weights are of no known network"):
        identify({"model.0.conv.weight": (16, 3, 3, 3), "model.0.bn.weight": (16,)})


def test_speaker_networks_have_simam_alone() -> None:
    assert NETWORKS["wespeaker_simam_resnet34_asp"].attentions == ("simam",)
