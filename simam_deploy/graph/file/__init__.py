"""ONNX files: read, prove sound, write."""
