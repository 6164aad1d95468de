"""From a checkpoint to files in float32 and half that are proved, in Python.

Usage: python deploy.py CHECKPOINT; writes samples.npz, digits.onnx and digits.fp16.onnx.
"""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simam_deploy import (
    NETWORKS,
    OnnxArtifact,
    OnnxOptions,
    SampleOptions,
    SimamError,
    export_onnx,
    inspect_onnx,
    validate_models,
)

DIGITS = Path(__file__).parent.parent / "digits_samples.npz"


def write_samples(path: Path) -> SampleOptions:
    """Prepare eight digits as their network takes them: (8, 3, 32, 32) float32, with labels."""
    facts = NETWORKS["cifar_preresnet20"].family.preprocessing
    mean, std = (np.reshape(facts[name], (3, 1, 1)) for name in ("mean", "std"))
    with np.load(DIGITS) as digits:
        light: npt.NDArray[np.float64] = np.kron(digits["images"] / 16, np.ones((4, 4)))
        images = ((light[:, None] - mean) / std).astype(np.float32)
        np.savez(path, images=images, labels=digits["labels"])
    return SampleOptions(data=path)


def export(checkpoint: Path, precision: str, samples: SampleOptions) -> OnnxArtifact:
    """Export; the file appears only if it computes what the checkpoint does, on samples too."""
    name = {"fp32": "digits.onnx"}.get(precision, f"digits.{precision}.onnx")
    return export_onnx(checkpoint, name, OnnxOptions(precision=precision), samples=samples)


def describe(artifact: OnnxArtifact) -> str:
    """Read what an export found, a line each."""
    report = artifact.validation
    worst, power = report.worst, report.power
    assert power is not None and power.dropped is not None  # SimAM is there
    gate = max(report.gates, key=lambda gate: gate.error_ulps / gate.allowed_ulps)
    return "\n".join(
        (
            f"{artifact.path} ({artifact.precision}): {artifact.arch}",
            f"  lambda   {artifact.e_lambda}: {artifact.e_lambda_source}",
            f"  proved   {report.proved}: {len(report.results)} comparisons of outputs",
            f"  worst    {worst.max_rel:.1e} of {worst.allowed:.1e} allowed",
            f"  gates    {gate.error_ulps:.2f} of {gate.allowed_ulps:.2f} units of rounding",
            f"  power    a SimAM left out: {power.dropped.units:.0e} times what is allowed",
        )
    )


def compare(checkpoint: Path, candidate: Path, samples: SampleOptions) -> str:
    """Hold a file against the checkpoint, and say on how many samples both rank alike."""
    report = validate_models(checkpoint, candidate, samples=samples)
    if not report.passed:
        return "; ".join(report.failures)
    assert report.accuracy is not None  # there were samples
    agreed = report.accuracy.agreement * report.accuracy.samples
    return f"passed; ranks {agreed:.0f} of {report.accuracy.samples} samples as the checkpoint does"


def main(checkpoint: Path) -> None:
    samples = write_samples(Path("samples.npz"))
    for precision in ("fp32", "fp16"):
        artifact = export(checkpoint, precision, samples)
        print(describe(artifact))
    print(f"against the checkpoint: {compare(checkpoint, artifact.path, samples)}")
    limits = [site.fp16_std or float("inf") for site in inspect_onnx(artifact.path).sites]
    print(f"a SimAM in half alone would overflow from a deviation of {min(limits):.1f} on")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except SimamError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
