"""SimAM's plugin for TensorRT and TensorRT-RTX, and its kernels, as files beside this one."""
