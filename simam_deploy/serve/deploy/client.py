"""A client in Python for a detector that Triton serves: a picture in, boxes and masks out."""

from __future__ import annotations

import json

from simam_deploy.core.specs import TensorSpec
from simam_deploy.detect.decoding import may_mask
from simam_deploy.serve.protocol.datatypes import datatype_of
from simam_deploy.source.samples.inputs import SampleInputs

_TEXT = """
A client, with `pip install 'simam-deploy[images]' 'tritonclient[http]'`: it prepares a picture, and
gives boxes in the picture's pixels.

```python
from pathlib import Path

import numpy as np
import tritonclient.http as http

from simam_deploy.core.specs import TensorSpec
from simam_deploy.detect.decoding import find_decoder
{paste_import}from simam_deploy.source.recipes import read_recipe
from simam_deploy.source.samples.pictures import decode
from simam_deploy.source.samples.preparation import read_preparation

shape = {shape}
facts = read_recipe("{recipe}").complete(shape)
prepare = read_preparation(facts, TensorSpec({image}, "float32", shape))
picture, _ = decode(Path("street.jpg"), "street.jpg")
sides = picture.height, picture.width

image = http.InferInput({image}, [1, *prepare(picture).shape], "{image_type}")
image.set_data_from_numpy(prepare(picture)[None].astype(np.{image_dtype}))
{size}client = http.InferenceServerClient("localhost:8000")
answer = client.infer("{name}", [{inputs}])

names = [each["name"] for each in answer.get_response()["outputs"]]
outputs = {{name: answer.as_numpy(name) for name in names}}
decoder, _ = find_decoder(outputs, "{name}")
found = next(iter(decoder(outputs, 0.25)))  # scores above 0.25
boxes = prepare.placement(sides).to_picture(found.boxes)  # x1 y1 x2 y2
{paste}print(boxes, found.scores, found.labels)
```
"""

_SIZE = """\
size = http.InferInput({name}, [1, 2], "{kind}")  # height and width without the padding
size.set_data_from_numpy(np.array([prepare.extent(sides)], np.{dtype}))
"""
_PASTE = "masks = paste(found.masks, boxes, *sides)  # bool, (boxes, height, width)\n"
_BATCHES = """
Pictures become inputs of their own size; Triton puts those of one size into a batch.
"""


def client_text(
    name: str, recipe: str, given: SampleInputs, outputs: tuple[TensorSpec, ...]
) -> str:
    """Write a client.

    Args:
        name: The model's.
        recipe: How its pictures are prepared.
        given: Its inputs.
        outputs: Its outputs.
    """
    image, size = given.sample, given.size
    masks = may_mask(outputs)
    sides = image.shape[2:]
    text = _TEXT.format(
        name=name,
        recipe=recipe,
        image=json.dumps(image.name),
        image_type=datatype_of(image),
        image_dtype=image.dtype,
        shape=repr(image.shape),
        size="" if size is None else _size_text(size),
        inputs="image" if size is None else "image, size",
        paste_import="from simam_deploy.detect.masks import paste\n" if masks else "",
        paste=_PASTE if masks else "",
    )
    return text + (_BATCHES if all(isinstance(side, str) for side in sides) else "")


def _size_text(size: TensorSpec) -> str:
    return _SIZE.format(name=json.dumps(size.name), kind=datatype_of(size), dtype=size.dtype)
