"""Make the pictures of the documentation, docs/pictures, from what the commands make.

Of the trained digits network the report with its half and INT8 files beside it, and the plot of
their gates; of a Mask R-CNN that `examples/mask_rcnn` trains in half a minute, Grad-CAM and the
server's page. A browser looks at them: `pip install playwright`, and
Chromium by the system's name for it.

    python scripts/pictures.py [--chromium /usr/bin/chromium]
"""

import argparse
import contextlib
import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from train_digits import split

ROOT = Path(__file__).parent.parent
SHOWN = ROOT / "docs" / "pictures"
CHECKPOINT = next(ROOT.glob("examples/digits-*/model_best.pth.tar"))
QUALITY = 88
"""Of WebP, of 100: no difference to be seen, and 50 to 90 kB a picture."""


def simam(*arguments: str | Path) -> None:
    """Run a command to its end."""
    subprocess.run([sys.executable, "-m", "simam_deploy", *map(str, arguments)], check=True)


def keep(picture: bytes, name: str) -> None:
    """Write a PNG as WebP."""
    with Image.open(io.BytesIO(picture)) as image:
        image.convert("RGB").save(SHOWN / f"{name}.webp", quality=QUALITY, method=6)
    print(SHOWN / f"{name}.webp")


def opened(browser: Browser, address: str, width: int, height: int) -> Page:
    """Open a page with half as many pixels again as it says, for screens that have them."""
    size = ViewportSize(width=width, height=height)
    page = browser.new_page(viewport=size, device_scale_factor=1.5)
    page.goto(address)
    return page


def show_digits(folder: Path, browser: Browser) -> None:
    """Show the report on three precisions of the digits network, and the plot of their gates."""
    train, test, _, labels = split()
    np.savez(folder / "train.npz", images=train[:256].numpy())
    np.savez(folder / "test.npz", images=test.numpy(), labels=labels.numpy())
    model, half = folder / "digits.onnx", folder / "digits.fp16.onnx"
    simam("export", CHECKPOINT, "-o", model)
    simam("export", CHECKPOINT, "-o", half, "--precision", "fp16")
    calibration = ("--calibration-data", folder / "train.npz")
    simam(
        "export", CHECKPOINT, "-o", folder / "digits.int8.onnx", "--precision", "int8", *calibration
    )
    data = ("--data", folder / "test.npz")
    digit = folder / "digit.png"
    with np.load(ROOT / "examples" / "digits_samples.npz") as samples:
        Image.fromarray(samples["images"][0] * 15).resize((256, 256)).convert("RGB").save(digit)
    simam("report", folder / "digits.html", model, CHECKPOINT, "--image", digit)
    simam("validate", model, half, *data, "--plot", folder / "gates.html")
    report = opened(browser, (folder / "digits.html").as_uri(), 1280, 1120)
    keep(report.screenshot(), "report")
    keep(report.locator("#gates").screenshot(), "histograms")
    plot = opened(browser, (folder / "gates.html").as_uri(), 1000, 430)
    keep(plot.screenshot(), "gates")


def show_detector(folder: Path, browser: Browser) -> None:
    """Show where a Mask R-CNN looks, and what the server's page draws of its boxes."""
    example = ROOT / "examples" / "mask_rcnn"
    subprocess.run([sys.executable, example / "train.py"], check=True, cwd=folder)
    model, picture = folder / "mask_rcnn.onnx", folder / "picture.png"
    simam("export", folder / "epoch_1.pth", "-o", model, "--data", folder / "pictures")
    simam("explain", folder / "epoch_1.pth", picture, "-o", folder / "looks.png", "--box", "0")
    keep((folder / "looks.png").read_bytes(), "looks")
    with served(model) as address:
        page = opened(browser, address, 1180, 900)
        page.set_input_files("#file", picture)
        page.wait_for_selector("#maps canvas")
        keep(page.screenshot(), "page")


@contextlib.contextmanager
def served(model: Path) -> Iterator[str]:
    """Serve a model on any free port; yields the page's address."""
    command = [
        sys.executable,
        "-m",
        "simam_deploy",
        "serve",
        model,
        "--http-port",
        "0",
        "--no-grpc",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        said = ""
        while "ready: " not in said:
            said += server.stderr.readline()
        found = re.search(r"HTTP on (http://\S+)", said)
        yield found[1]
        server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="the browser's program")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    program = parser.parse_args().chromium
    SHOWN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=flags)
        show_digits(Path(folder), browser)
        show_detector(Path(folder), browser)
        browser.close()


if __name__ == "__main__":
    main()
