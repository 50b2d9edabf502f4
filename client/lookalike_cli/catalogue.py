"""A catalogue of photos through the embedder: files in, a folder of vectors out.

OUT/vectors.npy   float32 [photos, dimension]
OUT/photos.csv    a row a vector: photo_id, item_id, and the columns of the catalogue's own table
OUT/failed.csv    the photos without a vector, and why
OUT/space.json    what made the vectors; written last, so that a folder without it is unfinished
"""

import csv
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from lookalike.embedder.v1.embedder_pb2 import GetInfoResponse
from lookalike.v1.error_reason_pb2 import ErrorReason
from lookalike_client import Client, Embedding, ImageFailed, LookalikeError, Region

from embedder_service.training.data import Box

CALL_BYTES = 8 << 20  # photos a call, together; a single larger one goes alone
PATIENCE_SECONDS = 300.0  # how long a service that refuses is asked again


class SpaceChanged(Exception):
    """Another model answered half-way; vectors of two spaces are never mixed."""


@dataclass(frozen=True)
class Photograph:
    """photo_id: unique in the catalogue. columns: what goes into photos.csv beside the ids.

    box: the part to embed, in pixels of the upright picture: left, top, right, bottom.
    """

    photo_id: str
    path: Path
    item_id: str
    columns: dict[str, str] = field(default_factory=dict)
    box: Box | None = None


@dataclass(frozen=True)
class Failure:
    """A photo without a vector. reason: an ErrorReason's name, or NO_SUCH_FILE."""

    photo_id: str
    reason: str
    message: str


@dataclass(frozen=True)
class Embedded:
    """What became of a catalogue."""

    space_id: str
    dimension: int
    photos: int
    failures: tuple[Failure, ...]
    seconds: float


Result = tuple[Photograph, Embedding | Failure]
Image = tuple[bytes, Sequence[Region]]


def embed_catalogue(
    client: Client,
    photographs: Sequence[Photograph],
    out: Path,
    *,
    images_per_call: int = 16,
    calls_in_flight: int = 4,
    failures: Sequence[Failure] = (),
    progress: Callable[[int], None] = lambda _done: None,
) -> Embedded:
    """Embeds in bulk priority, in order, a few calls at a time; `progress` hears of photos done.

    A photo that cannot be embedded is in `failures` (and failed.csv) and nowhere else; an embedder
    that refuses is asked again for five minutes. Raises LookalikeError, SpaceChanged.
    """
    begin = time.monotonic()
    info = client.info()
    out.mkdir(parents=True, exist_ok=True)
    (out / "space.json").unlink(missing_ok=True)
    results = _results(
        client, info, photographs, min(images_per_call, info.max_images_per_call), calls_in_flight
    )
    photos, failed = _write(out, info, photographs, results, progress)
    failed = [*failures, *failed]
    _write_failures(out / "failed.csv", failed)
    seconds = time.monotonic() - begin
    (out / "space.json").write_text(json.dumps(_space(info, photos), indent=2) + "\n")
    return Embedded(info.space_id, info.dimension, photos, tuple(failed), seconds)


def _results(
    client: Client,
    info: GetInfoResponse,
    photographs: Sequence[Photograph],
    images_per_call: int,
    calls_in_flight: int,
) -> Iterator[Result]:
    """In order, with `calls_in_flight` calls ahead of the one whose results are taken."""
    waiting: deque[Future[list[Result]]] = deque()
    with ThreadPoolExecutor(calls_in_flight) as pool:
        try:
            for batch in _batches(photographs, images_per_call):
                waiting.append(pool.submit(_embed, client, info, batch))
                if len(waiting) > calls_in_flight:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _batches(photographs: Sequence[Photograph], count: int) -> Iterator[list[Photograph]]:
    batch: list[Photograph] = []
    size = 0
    for photograph in photographs:
        own = photograph.path.stat().st_size if photograph.path.is_file() else 0
        if batch and (len(batch) == count or size + own > CALL_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(photograph)
        size += own
    if batch:
        yield batch


def _embed(client: Client, info: GetInfoResponse, batch: list[Photograph]) -> list[Result]:
    images = [_read(photograph, info.max_image_bytes) for photograph in batch]
    sent = [image for image in images if not isinstance(image, Failure)]
    answers = iter(_patiently(client, sent) if sent else [])
    return [
        (
            photograph,
            image if isinstance(image, Failure) else _result(photograph, next(answers)),
        )
        for photograph, image in zip(batch, images, strict=True)
    ]


def _read(photograph: Photograph, max_bytes: int) -> Image | Failure:
    try:
        content = photograph.path.read_bytes()
    except OSError as error:
        return Failure(photograph.photo_id, "NO_SUCH_FILE", f"{photograph.path}: {error.strerror}")
    if len(content) > max_bytes:  # the call around it would be refused, and its neighbours with it
        message = f"content: expected at most {max_bytes} bytes, got {len(content)}"
        return Failure(photograph.photo_id, "IMAGE_TOO_LARGE", message)
    return _with_region(photograph, content)


def _with_region(photograph: Photograph, content: bytes) -> Image | Failure:
    if photograph.box is None:
        return content, ()
    # Pillow, for those alone who have boxes: the service takes fractions of the upright picture.
    from embedder_service.image_header import read_header
    from embedder_service.images import upright_size
    from embedder_service.training.boxes import region_of
    from lookalike_kit.errors import ServiceError

    try:
        found = region_of(photograph.box, upright_size(content, read_header(content)))
    except ServiceError as error:
        reason = ErrorReason.Name(error.reason).removeprefix("ERROR_REASON_")
        return Failure(photograph.photo_id, reason, str(error))
    return content, (Region(**vars(found)),)


def _patiently(client: Client, images: list[Image]) -> list[tuple[Embedding, ...] | ImageFailed]:
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return client.embed_regions(images, bulk=True)
        except LookalikeError as error:
            if not error.retryable or time.monotonic() > until:
                raise
            time.sleep(error.retry_after_seconds or 0.5)


def _result(
    photograph: Photograph, answer: tuple[Embedding, ...] | ImageFailed
) -> Embedding | Failure:
    if isinstance(answer, ImageFailed):
        return Failure(photograph.photo_id, answer.reason, str(answer))
    (embedding,) = answer
    return embedding


def _write(
    out: Path,
    info: GetInfoResponse,
    photographs: Sequence[Photograph],
    results: Iterable[Result],
    progress: Callable[[int], None],
) -> tuple[int, list[Failure]]:
    """Row by row, so that a catalogue of any size needs no memory of its size."""
    columns = list(dict.fromkeys(name for photo in photographs for name in photo.columns))
    count = 0
    failed: list[Failure] = []
    with ExitStack() as stack:
        vectors = stack.enter_context((out / "vectors.npy").open("wb"))
        table = stack.enter_context((out / "photos.csv").open("w", newline="", encoding="utf-8"))
        rows = csv.DictWriter(table, ["photo_id", "item_id", *columns])
        rows.writeheader()
        _write_header(vectors, 0, info.dimension)
        for done, (photograph, result) in enumerate(results, 1):
            if isinstance(result, Failure):
                failed.append(result)
            else:
                vectors.write(_values(result, info))
                ids = {"photo_id": photograph.photo_id, "item_id": photograph.item_id}
                rows.writerow({**photograph.columns, **ids})
                count += 1
            progress(done)
        vectors.seek(0)
        _write_header(vectors, count, info.dimension)
    return count, failed


def _write_header(vectors: BinaryIO, rows: int, dimension: int) -> None:
    """numpy leaves room in the header for the rows to grow, so that it can be written again."""
    layout = {"descr": "<f4", "fortran_order": False, "shape": (rows, dimension)}
    np.lib.format.write_array_header_1_0(vectors, layout)


def _values(embedding: Embedding, info: GetInfoResponse) -> bytes:
    if embedding.space_id != info.space_id:
        raise SpaceChanged(
            f"space_id: expected {info.space_id} for the whole catalogue, got {embedding.space_id}"
        )
    return embedding.values


def _write_failures(path: Path, failures: Sequence[Failure]) -> None:
    with path.open("w", newline="", encoding="utf-8") as table:
        rows = csv.writer(table)
        rows.writerow(["photo_id", "reason", "message"])
        rows.writerows([one.photo_id, one.reason, one.message] for one in failures)


def _space(info: GetInfoResponse, photos: int) -> dict[str, object]:
    return {
        "space_id": info.space_id,
        "dimension": info.dimension,
        "architecture": info.architecture,
        "layer": info.layer,
        "precision": info.precision,
        "decoder": info.decoder,
        "photos": photos,
    }
