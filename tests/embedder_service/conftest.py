"""Pictures drawn here, and the bytes of files that no encoder would write."""

import io
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2, status_pb2
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1 import embedder_pb2_grpc as pb_grpc
from lookalike.inference import open_inference_pb2_grpc as inference_grpc
from PIL import Image

from embedder_service.config import EmbedderConfig
from embedder_service.decoder import Here
from embedder_service.images import Limits
from embedder_service.pace import Pace
from embedder_service.reader import Reader
from embedder_service.spec import ModelSpec, Preprocessing
from embedder_service.wiring import Embedder, Loaded
from lookalike_kit.server import Server

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


@pytest.fixture
def readers(preprocessing: Preprocessing) -> Iterator[Callable[..., Reader]]:
    """readers(at_once, decoded, waited_to_decode) -> one that stops with the test."""
    made = []

    def make(
        at_once: int,
        decoded: Callable[[float], None] = lambda _: None,
        waited_to_decode: Callable[[bool, float], None] = lambda _, __: None,
    ) -> Reader:
        observer = SimpleNamespace(decoded=decoded, waited_to_decode=waited_to_decode)
        decoders = [Here(preprocessing) for _ in range(at_once + 1)]
        made.append(Reader(Limits(), decoders, observer))
        return made[-1]

    yield make
    for each in made:
        each.stop()


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


class Quarters:
    """A model of 12 dimensions: the mean colours of a square's four quarters."""

    dimension = 12

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Semaphore(0)
        self.fails = False
        self.copies = 1  # more make wider answers

    def embed(self, images: np.ndarray) -> np.ndarray:
        self.entered.release()
        assert self.free.wait(20)
        if self.fails:
            raise RuntimeError("device lost at 0x7f")
        half = images.shape[-1] // 2
        quarters = images.reshape(len(images), 3, 2, half, 2, half).mean(axis=(3, 5))
        vectors = quarters.reshape(len(images), self.dimension).astype(np.float32)
        vectors += 1  # black has one, too
        vectors = np.tile(vectors, self.copies)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@dataclass
class Served:
    """Both faces over a real port; the model is a stand-in that answers at once."""

    stub: pb_grpc.EmbedderServiceStub
    inference: inference_grpc.GRPCInferenceServiceStub
    model: Quarters
    info: pb.GetInfoResponse
    embedder: Embedder
    address: str

    @property
    def server(self) -> Server:
        return self.embedder.server

    def metric(self, name: str, **labels: str) -> float:
        found = self.embedder.registry.get_sample_value(f"lookalike_embedder_{name}", labels)
        return found or 0.0

    def in_flight(self) -> float | None:
        return self.embedder.registry.get_sample_value("lookalike_in_flight_calls")

    def until(self, condition: Callable[[], bool]) -> None:
        """Waits for what another thread is about to do."""
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.002)

    def stop(self) -> None:
        self.model.free.set()
        self.embedder.server.stop()
        self.embedder.reader.stop()
        self.embedder.batcher.stop()

    def refusal(self, error: grpc.RpcError) -> error_details_pb2.ErrorInfo:
        trailers = dict(error.trailing_metadata())
        status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        info = error_details_pb2.ErrorInfo()
        assert status.details[0].Unpack(info)
        return info


@pytest.fixture
def served() -> Iterator[Served]:
    model = Quarters()
    info = pb.GetInfoResponse(
        space_id="5" * 64,
        dimension=model.dimension,
        architecture="quarters",
        max_images_per_call=64,
        version="1.2.3",
    )
    config = EmbedderConfig(
        model=Path("unused"), max_batch=8, max_queue_images=16, threads=16, max_waiting=64,
        max_image_bytes=1 << 20, max_image_pixels=1_000_000, max_held_bytes=4 << 20,
        address="127.0.0.1:0", admin_address="127.0.0.1:0", metrics_address="127.0.0.1:0",
        max_message_bytes=8 << 20, drain_seconds=0, grace_seconds=2,
    )  # fmt: skip
    embedder = Embedder(config, Loaded(model.embed, Pace(1.0, 2.0, max_batch=8), SMALL, info))
    embedder.batcher.start()
    address = embedder.server.start().address
    embedder.server.set_ready(True)
    with grpc.insecure_channel(address) as channel:
        serving = Served(
            stub=pb_grpc.EmbedderServiceStub(channel),
            inference=inference_grpc.GRPCInferenceServiceStub(channel),
            model=model,
            info=info,
            embedder=embedder,
            address=address,
        )
        yield serving
    serving.stop()
