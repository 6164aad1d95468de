"""What a file says of its network beside the weights: lambda, class names, pictures, input size.

Training code leaves it in its own ways, as objects or as text, and none of it is ever run:

    record      what was said, and where
    python_text configurations written as Python: literals alone
    text        whichever text it is: JSON, Python or YAML
    fields      what a value holds by name, whatever it is: a dict, a namespace, an object, a text
    places      where in a file something may be said
    lambdas     SimAM's lambda
    values      numbers, sizes and names, as people write them
    arguments   a script's arguments, Lightning's hyper-parameters, timm's configuration
    mmlab       mmdetection's configuration, and that of its siblings
    detector    what that says of a two-stage detector
    pipelines   the steps by which those make an input of a picture
    yolo        what ultralytics and YOLOv5 leave in a checkpoint or an .onnx
    reading     all of them asked
    of_onnx     what an .onnx says in its metadata, be it ours or another's
    of_archive  the extra files of TorchScript's and torch.export's archives
    choice      what is taken of it beside what a user says and what was published
"""
