"""Whether a checkpoint is taken as a whole detector, and what that is called."""

from __future__ import annotations

from simam_deploy.core.specs import Shapes
from simam_deploy.errors import NetworkError, UsageError
from simam_deploy.models.attention.kinds import AttentionName
from simam_deploy.models.detectors.identity import TITLES, DetectorIdentity

_SUFFIX = "_backbone"


def detector_name(identity: DetectorIdentity) -> str:
    """Name a detector, as "faster_rcnn_resnet50"."""
    return f"{identity.kind}_{identity.backbone.network.name.removesuffix(_SUFFIX)}"


def find_detector(
    shapes: Shapes, arch: str | None, attention: AttentionName | None = None
) -> tuple[DetectorIdentity | None, tuple[str, ...]]:
    """Tell whether a checkpoint is to be taken as a whole detector.

    Args:
        shapes: state_dict key -> shape, wrappers and `module.` prefixes removed.
        arch: A detector's name, or a network's, which means that alone.
        attention: What its backbone has.

    Returns:
        The detector, None where it is not: then with a note on what is left out, if anything is.

    Raises:
        NetworkError: Its keys and shapes fit none, though the kind is known here.
        UsageError: It is another than `arch` says.
    """
    from simam_deploy.models.detectors.foreign import refuse_foreign
    from simam_deploy.models.detectors.identify import looks_like_detector

    kind = next((kind for kind in TITLES if (arch or "").startswith(f"{kind}_")), None)
    if not looks_like_detector(shapes):
        if kind is not None:
            raise UsageError(f"{arch} does not fit: the file has no heads", options=("arch",))
        return None, ()
    try:
        refuse_foreign(shapes)
    except NetworkError as error:
        if kind is not None:
            raise
        return None, (f"a detector's backbone alone is taken: {error}",)
    if arch is not None and kind is None:
        return None, ("a detector's backbone alone is taken, as named: unnamed, it is the whole",)
    backbone = arch and f"{arch.removeprefix(f'{kind}_')}{_SUFFIX}"
    return _identify(shapes, arch, backbone, attention), ()


def _identify(
    shapes: Shapes, arch: str | None, backbone: str | None, attention: AttentionName | None
) -> DetectorIdentity:
    """Identify it; what is wrong with the backbone is told as of a backbone alone."""
    from simam_deploy.models.detectors.identify import identify_detector
    from simam_deploy.models.identify import identify

    network = identify(shapes, backbone, attention).network
    try:
        found = identify_detector(shapes, backbone, attention)
    except NetworkError as error:
        line = f"{error}; for its backbone alone, say {network.name}"
        raise NetworkError(line, options=("arch",)) from None
    if arch not in (None, detector_name(found)):
        raise UsageError(
            f"{arch} does not fit: the keys and shapes are {detector_name(found)}'s",
            options=("arch",),
        )
    return found
