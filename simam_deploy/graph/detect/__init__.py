"""A detector's two operators in a graph (`simam_deploy.op.detection`): nodes, bodies, forms.

A body has one of two forms, which compute the same:

    standard  ONNX's RoiAlign and NonMaxSuppression: ONNX Runtime, full TensorRT
    loops     neither, nor NonZero: TensorRT-RTX, whose builder has none of them
"""

STANDARD, LOOPS = FORMS = ("standard", "loops")
