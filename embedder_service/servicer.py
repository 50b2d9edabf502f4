"""lookalike.embedder.v1.EmbedderService: parses, asks, answers."""

from __future__ import annotations

import grpc
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1 import embedder_pb2_grpc as pb_grpc
from lookalike.v1.embedding_pb2 import Embedding
from lookalike.v1.error_reason_pb2 import ErrorReason

from embedder_service import account
from embedder_service.images import MAX_REGIONS, Photo, Region
from embedder_service.pending import Vectors
from embedder_service.pipeline import Pipeline
from lookalike_kit import calls
from lookalike_kit.errors import InvalidField, ServiceError

MAX_IMAGES = 64
# What clients receive by default is 4 MiB; an image may need 512 bytes for its error.
MAX_ANSWER_BYTES = 4 * 1024 * 1024 - MAX_IMAGES * 512
_BYTES_AROUND_A_VECTOR = 80  # the space's 64 digits, tags and lengths


class AnswerTooLarge(ServiceError):
    """The vectors asked for would not fit what clients receive by default."""

    status = grpc.StatusCode.INVALID_ARGUMENT
    reason = ErrorReason.ERROR_REASON_ANSWER_TOO_LARGE


class EmbedderServicer(pb_grpc.EmbedderServiceServicer):
    """One replica."""

    def __init__(self, pipeline: Pipeline, info: pb.GetInfoResponse) -> None:
        self._pipeline = pipeline
        self._info = info

    def Embed(self, request: pb.EmbedRequest, context: grpc.ServicerContext) -> pb.EmbedResponse:
        """Image files in, vectors out."""
        photos = _photos(request)
        bulk = _is_bulk(request)
        calls.tell(lambda: account.asked(photos, bulk, self._info.space_id))
        self._refuse_too_large(sum(photo.squares for photo in photos))
        answer = self._pipeline.embed(photos, bulk, context)
        calls.tell(lambda: account.answered(answer))
        return pb.EmbedResponse(
            results=[self._result(*numbered) for numbered in enumerate(answer.photos)],
            timings=pb.EmbedTimings(
                admission_micros=calls.admission_micros(),
                decode_micros=_micros(answer.decode_seconds),
                queue_micros=_micros(answer.queue_seconds),
                forward_micros=_micros(answer.forward_seconds),
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

    def _result(self, position: int, vectors: Vectors | ServiceError) -> pb.ImageResult:
        if isinstance(vectors, ServiceError):
            return _failed(position, vectors)
        return pb.ImageResult(
            embeddings=[
                Embedding(
                    values=vector.astype("<f4", copy=False).tobytes(), space_id=self._info.space_id
                )
                for vector in vectors
            ]
        )


def _failed(position: int, error: ServiceError) -> pb.ImageResult:
    message = f"images[{position}].{error.message}"
    metadata = {**error.metadata, "position": str(position)}
    return pb.ImageResult(
        error=pb.ImageError(reason=error.reason, message=message, metadata=metadata)
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


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)
