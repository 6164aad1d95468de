"""One ONNX graph: read it, recognise SimAM, change it, write it; nothing here runs one."""
