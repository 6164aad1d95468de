"""SimAM's operators for ONNX Runtime's CPU provider: a compiled library, and where it lies."""

from pathlib import Path

__all__ = ["library_path"]


def library_path() -> str:
    """Give the library's path, as `SessionOptions.register_custom_ops_library` takes it."""
    return str(Path(__file__).with_name("libsimam_onnxruntime.so"))
