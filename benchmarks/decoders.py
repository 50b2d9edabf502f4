"""JPEG bytes -> the square that the model sees: images a second on one core, by decoder.

python -m benchmarks.decoders [--seconds S]

Every decoder's pixels are resized as served, so that only the decoding differs; but for the row in
which Pillow resizes as well, and nvJPEG's, which is there where a GPU is. OpenCV is no dependency
of this project: pip install opencv-python-headless first, or it is left out. `difference` is the
mean over the square's bytes (0 to 255) to what is served.
"""

import argparse
import io
import time
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image
from PIL.Image import Resampling

from benchmarks.photograph import photograph
from benchmarks.record import record, table
from embedder_service import images
from embedder_service.decoder import MOST_TOGETHER, Job
from embedder_service.images import Photo, Pixels
from embedder_service.reader import ALONE_PIXELS
from embedder_service.spec import Preprocessing
from embedder_service.squares import square

SIZES = ((300, 300), (640, 427), (4000, 3000))
MODEL = Preprocessing(resize=232, crop=224)
FULL_SECONDS = 3.0
# Without them a run is not whole.
NEEDED = {"served", "Pillow", "simplejpeg, any scale", "torchvision", "OpenCV, reduced"}

Read = Callable[[bytes], Pixels]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=FULL_SECONDS, help="for each cell")
    seconds = parser.parse_args().seconds
    figures = measure(seconds)
    is_full_size = seconds >= FULL_SECONDS and figures["images_a_second"].keys() >= NEEDED
    packages = ("pillow", "simplejpeg", "torchvision", "opencv-python-headless", "numpy")
    record("decoders", figures, is_full_size=is_full_size, packages=packages)


def measure(seconds: float) -> dict[str, dict[str, Any]]:
    """Images a second on one core by decoder and size, of those decoders that are installed."""
    files = {f"{width}x{height}": photograph(width, height) for width, height in SIZES}
    rows = [(name, *_row(read, files, seconds)) for name, read in _decoders().items()]
    if (torch := _installed("torch")) and torch.cuda.is_available():
        rows.append(("nvJPEG", *_nvjpeg_row(files, seconds)))
    columns = [column for size in files for column in (f"{size} images/s", "difference")]
    table("decoded and resized on one core", ("decoder", *columns), rows)
    return {
        "images_a_second": {
            str(name): dict(zip(files, cells[::2], strict=True)) for name, *cells in rows
        },
        "file_bytes": {size: len(file) for size, file in files.items()},
    }


def _decoders() -> dict[str, Read]:
    need = {"min_height": MODEL.resize, "min_width": MODEL.resize}
    fast = {"fastdct": True, "fastupsample": True, **need}
    found: dict[str, Read] = {
        "served": lambda content: images.read(content, MODEL)[0],
        "Pillow": lambda content: _square(np.array(Image.open(io.BytesIO(content)))),
        "Pillow, draft": lambda content: _square(np.array(_drafted(content))),
        "simplejpeg, any scale": lambda content: _square(
            simplejpeg.decode_jpeg(content, "RGB", **need)
        ),
        "simplejpeg, any scale, fast DCT": lambda content: _square(
            simplejpeg.decode_jpeg(content, "RGB", **fast)
        ),
    }
    if torchvision := _installed("torchvision.io"):
        torch = import_module("torch")
        torch.set_num_threads(1)
        found["torchvision"] = lambda content: _square(
            torchvision.decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8))
            .permute(1, 2, 0)
            .numpy()
        )
    if cv2 := _installed("cv2"):
        cv2.setNumThreads(1)
        found["OpenCV, reduced"] = lambda content: _with_opencv(cv2, content)
    found["Pillow, draft and resize"] = _by_pillow_alone
    return found


def _installed(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        print(f"{name} is not installed: left out")
        return None


def _drafted(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.draft(None, (MODEL.resize, MODEL.resize))
    image.load()
    return image


def _by_pillow_alone(content: bytes) -> Pixels:
    image = _drafted(content)
    kept = min(image.size) * MODEL.crop / MODEL.resize
    left, top = ((side - kept) / 2 for side in image.size)
    box = (left, top, left + kept, top + kept)
    small = image.resize((MODEL.crop, MODEL.crop), Resampling.BILINEAR, box=box)
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))


def _with_opencv(cv2: ModuleType, content: bytes) -> Pixels:
    header = images.check(content, images.Limits())
    shorter = min(header.width, header.height)
    scale = max(each for each in (1, 2, 4, 8) if each == 1 or shorter // each >= MODEL.resize)
    flag = cv2.IMREAD_COLOR if scale == 1 else getattr(cv2, f"IMREAD_REDUCED_COLOR_{scale}")
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    return _square(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))


def _square(pixels: Pixels) -> Pixels:
    return square(pixels, MODEL)


def _row(read: Read, files: dict[str, bytes], seconds: float) -> list[float]:
    cells = []
    for content in files.values():
        (own,) = images.read(content, MODEL)
        difference = float(np.abs(own.astype(int) - read(content).astype(int)).mean())
        cells += [round(_images_a_second(read, content, seconds), 1), round(difference, 3)]
    return cells


def _nvjpeg_row(files: dict[str, bytes], seconds: float) -> list[float]:
    """By the clock on the wall: the device works, not this thread. As many together as served."""
    from embedder_service.nvjpeg import NvJpeg, on_cuda

    decoded: list[int] = []
    by_nvjpeg = on_cuda()

    def counted(contents: list[Any]) -> list[Any]:
        pictures = by_nvjpeg(contents)
        decoded.append(len(pictures))
        return pictures

    decoder = NvJpeg(MODEL, counted)
    cells = []
    for content in files.values():
        (own,) = images.read(content, MODEL)
        job = Job(Photo(content), images.check(content, images.Limits()))
        jobs = [job] * (MOST_TOGETHER if job.header.pixels <= ALONE_PIXELS else 1)
        decoded.clear()
        count, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds:
            squares = decoder.decode(jobs)[0].squares
            count += len(jobs)
        assert isinstance(squares, list)
        assert sum(decoded) == count  # or the processor has read some
        difference = float(np.abs(own.astype(int) - squares[0].astype(int)).mean())
        cells += [round(count / took, 1), round(difference, 3)]
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
