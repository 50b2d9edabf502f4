"""JPEG bytes -> the square that the model sees: images a second on one core, by decoder.

python -m benchmarks.decoders [--seconds S]

Every decoder gives Pillow the pixels to resize, so that only the decoding differs. simplejpeg and
OpenCV are no dependencies of this project: pip install simplejpeg opencv-python-headless first, or
they are left out. `difference` is the mean over the square's bytes (0 to 255) to Pillow's own.
"""

import argparse
import io
import time
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.photograph import photograph
from benchmarks.record import record, table
from embedder_service import images
from embedder_service.images import Pixels
from embedder_service.spec import Preprocessing

SIZES = ((300, 300), (640, 427), (4000, 3000))
MODEL = Preprocessing(resize=232, crop=224)
FULL_SECONDS = 3.0

Read = Callable[[bytes], Pixels]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=FULL_SECONDS, help="for each cell")
    seconds = parser.parse_args().seconds
    figures = measure(seconds)
    is_full_size = seconds >= FULL_SECONDS and len(figures["images_a_second"]) == 7
    packages = ("pillow", "simplejpeg", "torchvision", "opencv-python-headless", "numpy")
    record("decoders", figures, is_full_size=is_full_size, packages=packages)


def measure(seconds: float) -> dict[str, dict[str, Any]]:
    """Images a second on one core by decoder and size, of those decoders that are installed."""
    files = {f"{width}x{height}": photograph(width, height) for width, height in SIZES}
    rows = [(name, *_row(read, files, seconds)) for name, read in _decoders().items()]
    columns = [column for size in files for column in (f"{size} images/s", "difference")]
    table("decoded and resized on one core", ("decoder", *columns), rows)
    return {
        "images_a_second": {
            str(name): dict(zip(files, cells[::2], strict=True)) for name, *cells in rows
        },
        "file_bytes": {size: len(file) for size, file in files.items()},
    }


def _decoders() -> dict[str, Read]:
    found: dict[str, Read] = {
        "served": lambda content: images.read(content, MODEL)[0],
        "Pillow": lambda content: _square(Image.open(io.BytesIO(content))),
        "Pillow, draft": _with_draft,
    }
    if simplejpeg := _installed("simplejpeg"):
        need = {"min_height": MODEL.resize, "min_width": MODEL.resize}
        found["simplejpeg"] = lambda content: _square(
            Image.fromarray(simplejpeg.decode_jpeg(content, "RGB", **need))
        )
        found["simplejpeg, fast DCT"] = lambda content: _square(
            Image.fromarray(
                simplejpeg.decode_jpeg(content, "RGB", fastdct=True, fastupsample=True, **need)
            )
        )
    if torchvision := _installed("torchvision.io"):
        torch = import_module("torch")
        torch.set_num_threads(1)
        found["torchvision"] = lambda content: _square(
            Image.fromarray(
                torchvision.decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8))
                .permute(1, 2, 0)
                .numpy()
            )
        )
    if cv2 := _installed("cv2"):
        cv2.setNumThreads(1)
        found["OpenCV, reduced"] = lambda content: _with_opencv(cv2, content)
    return found


def _installed(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        print(f"{name} is not installed: left out")
        return None


def _with_draft(content: bytes) -> Pixels:
    image = Image.open(io.BytesIO(content))
    image.draft(None, (MODEL.resize, MODEL.resize))
    return _square(image)


def _with_opencv(cv2: ModuleType, content: bytes) -> Pixels:
    header = images.check(content, images.Limits())
    shorter = min(header.width, header.height)
    scale = max(each for each in (1, 2, 4, 8) if each == 1 or shorter // each >= MODEL.resize)
    flag = cv2.IMREAD_COLOR if scale == 1 else getattr(cv2, f"IMREAD_REDUCED_COLOR_{scale}")
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    return _square(Image.fromarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)))


def _square(image: Image.Image) -> Pixels:
    image.load()
    return images.square(image.convert("RGB"), MODEL)


def _row(read: Read, files: dict[str, bytes], seconds: float) -> list[float]:
    cells = []
    for content in files.values():
        (own,) = images.read(content, MODEL)
        difference = float(np.abs(own.astype(int) - read(content).astype(int)).mean())
        cells += [round(_images_a_second(read, content, seconds), 1), round(difference, 3)]
    return cells


def _images_a_second(read: Read, content: bytes, seconds: float) -> float:
    """By this thread's own CPU time: neighbours on the machine do not count."""
    count = 0
    began = time.thread_time()
    while (took := time.thread_time() - began) < seconds:
        read(content)
        count += 1
    return count / took


if __name__ == "__main__":
    main()
