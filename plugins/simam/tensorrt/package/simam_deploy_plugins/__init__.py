"""SimAM's plugin for TensorRT and TensorRT-RTX, and its kernels: compiled code, beside this file."""
