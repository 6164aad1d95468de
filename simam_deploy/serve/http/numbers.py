"""JSON as Triton writes it: with NaN, Infinity and -Infinity, which JSON itself does not have.

Triton's parser and writer are RapidJSON with both flags set, tritonclient's the same. orjson, which
is ten times as fast as the standard library, writes null for all three and reads none of them: it
does what has none of them.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson

from simam_deploy.core.arrays import Array


def loads(text: bytes | memoryview) -> Any:
    """Read a document.

    Raises:
        orjson.JSONDecodeError: It is none.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        content = bytes(text)
        if b"NaN" not in content and b"Infinity" not in content:
            raise
        try:
            return json.loads(content.decode())
        except (ValueError, RecursionError):
            raise error from None


def dumped(array: Array) -> Any:
    """Give an array, in row-major order, as what orjson writes as a list of its numbers."""
    if array.dtype.name == "bfloat16":  # every one is a float32
        array = array.astype(np.float32)
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.dtype.kind != "f" or np.isfinite(flat).all():
        return flat
    pieces = orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY).split(b"null")
    words = [_word(number) for number in flat[~np.isfinite(flat)]]
    between: list[bytes] = [b""] * (len(pieces) + len(words))
    between[::2], between[1::2] = pieces, words
    return orjson.Fragment(b"".join(between))


def _word(number: Any) -> bytes:
    if np.isnan(number):
        return b"NaN"
    return b"Infinity" if number > 0 else b"-Infinity"
