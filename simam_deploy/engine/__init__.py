"""From an ONNX file to a TensorRT plan with its manifest.

`request` says what is to be built. `build` has it built by `child`, a process of its own, in one
of the `flavours`; holds the plan against what was asked (`audit`); and seals it with a `manifest`,
which `preflight` checks before anything loads the plan. `cache` keeps what was built.
"""
