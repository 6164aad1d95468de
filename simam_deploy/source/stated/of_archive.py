"""The texts that TorchScript and torch.export keep beside a network: their archive's extra files.

ultralytics and YOLOv5 write one, config.txt, whose JSON says what the metadata of their .onnx do.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from simam_deploy.source.stated.text import LARGEST, read_text

_FOLDER = "/extra/"
_MOST_FILES = 8


def read_extras(path: Path) -> dict[str, object]:
    """Read what the extra files of an archive say by name; what is no text with names is left out.

    Args:
        path: The archive, which torch has opened before.
    """
    found: dict[str, object] = {}
    with zipfile.ZipFile(path) as archive:
        names = (name for name in archive.namelist() if _FOLDER in name)
        for name in islice(names, _MOST_FILES):
            with archive.open(name) as file:
                read = read_text(file.read(LARGEST + 1).decode("utf-8", errors="ignore"))
            if isinstance(read, Mapping):
                found |= {str(key): value for key, value in read.items()}
    return found
