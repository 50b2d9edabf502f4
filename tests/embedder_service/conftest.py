"""Pictures drawn here, and the bytes of files that no encoder would write."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from embedder_service.spec import ModelSpec, Preprocessing

if TYPE_CHECKING:  # most tests here need no torch
    from embedder_service.model import EmbeddingModel

Encode = Callable[..., bytes]
SMALL = Preprocessing(resize=72, crop=64)


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """A soft, colourful 300 x 400 picture; no two corners look alike."""
    return drawn(0)


@pytest.fixture(scope="session")
def draw() -> Callable[[int], Image.Image]:
    """Other pictures of the kind, by number."""
    return drawn


@pytest.fixture(scope="session")
def encode() -> Encode:
    """encode(image, "JPEG", quality=90) -> the file's bytes."""
    return encoded


@pytest.fixture
def preprocessing() -> Preprocessing:
    return SMALL


@pytest.fixture(scope="session")
def png_of_size() -> Callable[[int, int], bytes]:
    """A PNG that promises width x height pixels and holds hardly any."""

    def made(width: int, height: int) -> bytes:
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        pixels = zlib.compress(bytes(1000))
        chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks)

    return made


@pytest.fixture(scope="session")
def scan_bomb() -> bytes:
    """A progressive JPEG of 40 KB whose last scan is repeated 3,000 times."""
    content = encoded(Image.new("L", (1000, 1000), 9), "JPEG", progressive=True)
    last, end = content.rindex(b"\xff\xda"), content.rindex(b"\xff\xd9")
    return content[:last] + content[last:end] * 3000 + content[end:]


def drawn(number: int) -> Image.Image:
    colours = np.random.default_rng(number).integers(0, 256, (8, 6, 3), np.uint8)
    return Image.fromarray(colours).resize((300, 400), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.fixture(scope="session")
def golden_photos() -> tuple[bytes, ...]:
    return tuple(encoded(drawn(number), "JPEG") for number in (100, 101, 102))


@pytest.fixture(scope="session")
def small_model() -> "EmbeddingModel":
    """An untrained resnet18 that sees 64 x 64 pixels."""
    from embedder_service.model import build

    return build(ModelSpec(backbone="resnet18", preprocessing=SMALL, classes=("a", "b")))


@pytest.fixture(scope="session")
def model_folder(
    small_model: "EmbeddingModel",
    golden_photos: tuple[bytes, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The small model's folder. Only read."""
    from embedder_service import checkpoint

    return checkpoint.save(small_model, tmp_path_factory.mktemp("models"), golden_photos, "small")
