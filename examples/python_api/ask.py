"""Ask a server for the digits of samples.npz.

Usage: python ask.py HOST:PORT MODEL
"""

import sys
from pathlib import Path

import numpy as np
import tritonclient.http as http


def logits(url: str, model: str, images: np.ndarray) -> np.ndarray:
    """Send a batch (N, 3, 32, 32) float32; get scores (N, 10)."""
    with http.InferenceServerClient(url) as client:
        tensor = http.InferInput("input", images.shape, "FP32").set_data_from_numpy(images)
        found: np.ndarray = client.infer(model, [tensor]).as_numpy("logits")
    return found


def main(url: str, model: str) -> None:
    with np.load(Path("samples.npz")) as samples:
        found = logits(url, model, samples["images"]).argmax(axis=1)
        print(f"{' '.join(map(str, found))}: {(found == samples['labels']).sum()} right")


if __name__ == "__main__":
    main(*sys.argv[1:])
