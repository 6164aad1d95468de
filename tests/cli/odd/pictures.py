"""Odd label files and odd folders of pictures, each made by what its number draws."""

import io
import os
import random
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = [f"digit {n}" for n in range(10)]
ODD_NAMES = (
    "",
    " ",
    "\t",
    "\u00a0",
    "\ufeff",
    "digit 0",
    "a" * 9000,
    "\x1b]0;title\x07",
    "\u202e",
    "\U0001d7d8",
)
ENDS = ("\n", "\r\n", "\r", "\n\n", "\u2028", "\x0b", "\0", ", ")
CODECS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp437", "utf-7")
MODES = ("RGB", "L", "RGBA", "P", "1", "CMYK", "LA", "I;16", "F", "HSV")
SUFFIXES = (".png", ".jpg", ".PNG", ".webp", ".tiff", ".bmp", ".gif", ".txt", "", ".pgm")
FOLDERS = ("0", "07", "1", "nine", "..a", ".hidden", "digit 1", "-1", "٣", "ärger", "1e3", " 2")


def label_file(number: int, folder: Path) -> Path:
    """Write odd label file `number`."""
    draw = random.Random(number)
    names = list(NAMES)
    for _ in range(draw.randint(0, 3)):
        at = draw.randrange(len(names))
        names[at : at + draw.randint(0, 1)] = draw.sample(ODD_NAMES, draw.randint(0, 2))
        names = names or [""]
    end = draw.choice(ENDS[:3] if draw.random() < 0.5 else ENDS)
    raw = (end.join(names) + draw.choice(("", end, end * 2))).encode(draw.choice(CODECS), "replace")
    if number % 4 == 0:
        at = draw.randrange(len(raw) + 1)
        raw = raw[:at] + draw.randbytes(draw.choice((0, 1, 40))) + raw[at + draw.randint(0, 3) :]
    path = folder / f"names{draw.choice(('.txt', '.csv', '.json', ''))}"
    path.write_bytes(raw)
    return path


def picture_folder(number: int, folder: Path) -> Path:
    """Make odd folder `number`, at times with pictures both loose and in folders."""
    draw = random.Random(number)
    root = folder / "pictures"
    root.mkdir()
    kind = draw.randrange(6)
    places = [root] if kind == 0 else [root / name for name in draw.sample(FOLDERS, 3)]
    if kind == 1:
        places = [root / str(n) for n in range(10)]
    if kind == 2:
        places.append(root)
    for place in places:
        place.mkdir(exist_ok=True)
        for count in range(draw.randint(0, 2)):
            (place / f"{count}{draw.choice(SUFFIXES[:5])}").write_bytes(_picture(draw))
    if kind == 3:
        _strangers(draw, root)
    return root


def _picture(draw: random.Random) -> bytes:
    """Encode a picture of an odd mode or size, at times with odd bytes or an orientation."""
    size = draw.choice(((32, 32), (1, 1), (1, 700), (33, 20), (640, 480)))
    pixels = np.random.default_rng(draw.randrange(99)).integers(0, 256, (size[1], size[0], 3))
    picture = Image.fromarray(pixels.astype(np.uint8))
    mode, form = (
        draw.choice(MODES if draw.random() < 0.4 else MODES[:3]),
        draw.choice(("PNG", "PNG", "JPEG", "WEBP", "TIFF", "GIF")),
    )
    exif, out = Image.Exif(), io.BytesIO()
    exif[0x0112] = draw.choice((1, 3, 6, 8, 0, 9, 65535))
    try:
        picture.convert("L" if mode == "I;16" else mode).convert(mode).save(out, form, exif=exif)
    except (OSError, ValueError):  # a format that does not know this mode
        picture.save(out, "PNG")
    raw = out.getvalue()
    if draw.random() < 0.3:
        at = draw.randrange(len(raw))
        raw = draw.choice((raw[:at], raw[:at] + draw.randbytes(9) + raw[at + 9 :], b"", raw[4:]))
    return raw


def _strangers(draw: random.Random, root: Path) -> None:
    """Put beside them what people's folders hold."""
    (root / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (root / "data.yaml").write_text(draw.choice(("names: [a, b]\n", "{", "names: &a [*a]\n", "\0")))
    (root / "link").symlink_to(draw.choice(("/etc", "/", "pictures", "../pictures", "nowhere")))
    if not (root / "0.png").exists():
        os.mkfifo(root / "0.png")
    (root / "labels").mkdir(exist_ok=True)
    (root / "labels" / "0.txt").write_text(draw.choice(("0 0.5 0.5 1 1\n", "x", "9" * 400, "")))
