"""Classify sample digits with an exported file; ONNX Runtime and NumPy are all it takes."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort

SAMPLES = Path(__file__).parent.parent / "examples" / "digits_samples.npz"
INK = " .:-=+*#%@"


def network_input(images: np.ndarray, mean: list[float], std: list[float]) -> np.ndarray:
    """Scale (N, 8, 8) digits of 0 to 16 to a normalised (N, 3, 32, 32) float32 batch."""
    pixels = np.kron(images / 16.0, np.ones((4, 4)))[:, None]
    channels = (pixels - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    return channels.astype(np.float32)


def main() -> None:
    path = Path(sys.argv[1])
    preprocessing = json.loads(path.with_suffix(".json").read_text())["preprocessing"]
    samples = np.load(SAMPLES)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    batch = network_input(samples["images"], preprocessing["mean"], preprocessing["std"])
    logits = session.run(None, {name: batch})[0]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    guesses = [f"{p.argmax()} ({p.max():.1%})" for p in odds]
    for four in (slice(0, 4), slice(4, 8)):
        for rows in samples["images"][four].transpose(1, 0, 2):
            print("  ".join("".join(INK[int(v * 9 / 16)] * 2 for v in row) for row in rows))
        print("  ".join(f"{guess:16}" for guess in guesses[four]))
    right = int((odds.argmax(axis=1) == samples["labels"]).sum())
    print(f"{right} of {len(guesses)} right")


if __name__ == "__main__":
    main()
