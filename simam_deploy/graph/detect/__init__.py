"""A detector's two operators in a graph (`simam_deploy.op.detection`): nodes, bodies, forms.

A body has one of three forms, which compute the same:

    routed    ONNX's RoiAlign and NonMaxSuppression, each map reading its own RoIs alone, of which
              there are as many as the boxes have it: what is written for ONNX Runtime
    standard  the same two, all RoIs read from every map: full TensorRT, which wants fixed sizes
    loops     neither, nor NonZero: TensorRT-RTX, whose builder has none of them
"""

ROUTED, STANDARD, LOOPS = FORMS = ("routed", "standard", "loops")
