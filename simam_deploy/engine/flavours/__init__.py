"""TensorRT and TensorRT-RTX: what each has and asks."""
