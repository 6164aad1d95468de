"""Turn wave files into speaker embeddings.

Usage: python embed.py MODEL.onnx WAV... [--server HOST:PORT]
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from features import log_mel, read_wave

Embed = Callable[[np.ndarray], np.ndarray]
"""Features (1, frames, 80) to an embedding (1, 256)."""


def here(model: Path) -> Embed:
    """Run the file in this process."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return lambda feats: session.run(["embs"], {"feats": feats})[0]


def served(model: Path, url: str) -> Embed:
    """Ask a server that has the file."""
    import tritonclient.http as http

    client = http.InferenceServerClient(url)

    def embed(feats: np.ndarray) -> np.ndarray:
        tensor = http.InferInput("feats", feats.shape, "FP32").set_data_from_numpy(feats)
        return client.infer(model.stem, [tensor]).as_numpy("embs")

    return embed


def main() -> None:
    parser = argparse.ArgumentParser(description="Turn wave files into speaker embeddings.")
    parser.add_argument("model", type=Path)
    parser.add_argument("waves", nargs="+", metavar="WAV")
    parser.add_argument("--server", metavar="HOST:PORT", help="one that serves the model")
    args = parser.parse_args()
    facts = json.loads(args.model.with_suffix(".json").read_text())["preprocessing"]
    embed = served(args.model, args.server) if args.server else here(args.model)
    for path in args.waves:
        feats = log_mel(read_wave(path, facts["sample_rate"]), facts)
        embedding = embed(feats)[0]
        np.save(Path(path).with_suffix(".npy"), embedding)
        first = " ".join(f"{value:.2f}" for value in embedding[:4])
        print(f"{path}: {feats.shape[1]} frames, embedding of {len(embedding)}: {first} ...")


if __name__ == "__main__":
    main()
