"""Build a TensorRT engine, and read its audit.

Usage: python engine.py MODEL.onnx
"""

import sys
from pathlib import Path

from simam_deploy import EngineArtifact, EngineOptions, SimamError, build


def engine(model: Path) -> EngineArtifact:
    """Build for batches of 1 to 16, tuned for 4, in the precision that the file has."""
    return build(
        model,
        engine=EngineOptions(
            backend="rtx",
            min_shapes=({"input": (1, 3, 32, 32)},),
            opt_shapes=({"input": (4, 3, 32, 32)},),
            max_shapes=({"input": (16, 3, 32, 32)},),
        ),
    )


def main(model: Path) -> None:
    artifact = engine(model)
    audit = artifact.audit
    print(f"{artifact.path}: {artifact.flavour}, {artifact.precision}")
    print(f"  launches {audit.launches}, for {audit.sites} SimAM sites, {audit.fused} in one each")
    print(f"  other than asked: {', '.join(audit.findings) or 'nothing'}")
    if artifact.validation["passed"] is None:
        print(f"  its outputs: {artifact.validation['reason']}")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except SimamError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
