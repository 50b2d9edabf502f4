"""lookalike.embedder.v1.EmbedderService: parses, asks, answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import grpc
import numpy as np
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1 import embedder_pb2_grpc as pb_grpc
from lookalike.v1.embedding_pb2 import Embedding
from lookalike.v1.error_reason_pb2 import ErrorReason

from embedder_service.batcher import Batcher, Places
from embedder_service.budget import ByteBudget
from embedder_service.images import Pixels, Region
from embedder_service.pending import Embedded, Vectors, give_up
from embedder_service.reader import Photo, Reader
from lookalike_kit import calls
from lookalike_kit.errors import InvalidField, ServiceError, reason_name

MAX_IMAGES = 64
MAX_REGIONS = 16
# What clients receive by default is 4 MiB; an image may need 512 bytes for its error.
MAX_ANSWER_BYTES = 4 * 1024 * 1024 - MAX_IMAGES * 512
_BYTES_AROUND_A_VECTOR = 80  # the space's 64 digits, tags and lengths

Squares = list[Pixels] | ServiceError


class AnswerTooLarge(ServiceError):
    """The vectors asked for would not fit what clients receive by default."""

    status = grpc.StatusCode.INVALID_ARGUMENT
    reason = ErrorReason.ERROR_REASON_ANSWER_TOO_LARGE


class EmbedderServicer(pb_grpc.EmbedderServiceServicer):
    """One replica. `count_image` is told "ok" or the reason, for every image answered."""

    def __init__(
        self,
        reader: Reader,
        batcher: Batcher,
        budget: ByteBudget,
        info: pb.GetInfoResponse,
        count_image: Callable[[str], None],
    ) -> None:
        self._reader = reader
        self._batcher = batcher
        self._budget = budget
        self._info = info
        self._count_image = count_image

    def Embed(self, request: pb.EmbedRequest, context: grpc.ServicerContext) -> pb.EmbedResponse:
        """Image files in, vectors out."""
        photos = _photos(request)
        bulk = _is_bulk(request)
        squares = sum(photo.squares for photo in photos)
        self._refuse_too_large(squares)
        reading_seconds = self._reader.seconds_until_read(len(photos))
        with (
            self._budget.hold(sum(len(photo.content) for photo in photos)),
            self._batcher.reserve(squares, _deadline(context), bulk, reading_seconds) as places,
        ):
            began = time.perf_counter()
            read = self._reader.read(photos)
            decode_seconds = time.perf_counter() - began
            embedded = self._embed(_pixels(read), places, context)
        return pb.EmbedResponse(
            results=self._results(read, embedded.vectors),
            timings=pb.EmbedTimings(
                admission_micros=calls.admission_micros(),
                decode_micros=_micros(decode_seconds),
                queue_micros=_micros(embedded.queue_seconds),
                forward_micros=_micros(embedded.forward_seconds),
            ),
        )

    def GetInfo(
        self,
        request: pb.GetInfoRequest,
        context: grpc.ServicerContext,
    ) -> pb.GetInfoResponse:
        """What this replica runs."""
        return self._info

    def _refuse_too_large(self, vectors: int) -> None:
        most = MAX_ANSWER_BYTES // (4 * self._info.dimension + _BYTES_AROUND_A_VECTOR)
        if vectors > most:
            raise AnswerTooLarge(
                f"images: expected at most {most} images and regions together in a call, "
                f"each a vector of {self._info.dimension} dimensions, got {vectors}",
                field="images",
                limit=str(most),
            )

    def _embed(
        self,
        pixels: Sequence[Pixels],
        places: Places,
        context: grpc.ServicerContext,
    ) -> Embedded:
        if not pixels:
            return Embedded(np.empty((0, self._info.dimension), np.float32), 0.0, 0.0)
        future = places.submit(pixels)
        if not context.add_callback(lambda: give_up(future)):
            give_up(future)  # the call ended before the callback was there
        return future.result()

    def _results(self, read: Sequence[Squares], vectors: Vectors) -> list[pb.ImageResult]:
        results = []
        row = 0
        for position, squares in enumerate(read):
            if isinstance(squares, ServiceError):
                results.append(self._failed(position, squares))
                continue
            results.append(self._embedded(vectors[row : row + len(squares)]))
            row += len(squares)
        return results

    def _failed(self, position: int, error: ServiceError) -> pb.ImageResult:
        self._count_image(reason_name(error.reason).lower())
        message = f"images[{position}].{error.message}"
        metadata = {**error.metadata, "position": str(position)}
        return pb.ImageResult(
            error=pb.ImageError(reason=error.reason, message=message, metadata=metadata)
        )

    def _embedded(self, vectors: Vectors) -> pb.ImageResult:
        self._count_image("ok")
        return pb.ImageResult(
            embeddings=[
                Embedding(values=vector.astype("<f4").tobytes(), space_id=self._info.space_id)
                for vector in vectors
            ]
        )


def _photos(request: pb.EmbedRequest) -> list[Photo]:
    if not 1 <= len(request.images) <= MAX_IMAGES:
        raise InvalidField("images", f"1 to {MAX_IMAGES}", len(request.images))
    return [_photo(position, image) for position, image in enumerate(request.images)]


def _photo(position: int, image: pb.Image) -> Photo:
    if len(image.regions) > MAX_REGIONS:
        field = f"images[{position}].regions"
        raise InvalidField(field, f"at most {MAX_REGIONS}", len(image.regions))
    regions = tuple(Region(r.left, r.top, r.right, r.bottom) for r in image.regions)
    return Photo(image.content, regions)


def _is_bulk(request: pb.EmbedRequest) -> bool:
    if request.priority not in pb.Priority.values():
        raise InvalidField("priority", "ONLINE or BULK", request.priority)
    return request.priority == pb.PRIORITY_BULK


def _deadline(context: grpc.ServicerContext) -> float | None:
    """On the batcher's clock."""
    remaining = context.time_remaining()
    return None if remaining is None else time.monotonic() + remaining


def _pixels(read: Sequence[Squares]) -> list[Pixels]:
    return [
        square for squares in read if not isinstance(squares, ServiceError) for square in squares
    ]


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)
