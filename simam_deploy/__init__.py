"""Take a trained SimAM network from a checkpoint to a verified ONNX file."""

__version__ = "0.1.0"
