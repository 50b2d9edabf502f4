"""An embedder without a model: the same bytes, the same vector; other bytes, an unrelated one."""

# ruff: noqa: ARG002, N802 (gRPC names the methods and what they are given)

import hashlib
import math
import struct
from collections import deque

from lookalike.embedder.v1 import embedder_pb2, embedder_pb2_grpc
from lookalike.v1 import error_reason_pb2
from lookalike.v1.embedding_pb2 import Embedding

from lookalike_client._refusals import Context, Refusal


class FakeEmbedder(embedder_pb2_grpc.EmbedderServiceServicer):
    """requests: what it was asked, in order. refusals: what the next calls get instead."""

    def __init__(self, space_id: str, dimension: int) -> None:
        self.space_id = space_id
        self.dimension = dimension
        self.requests: list[embedder_pb2.EmbedRequest] = []
        self.request_ids: list[str] = []
        self.refusals: deque[Refusal] = deque()

    def embedding(self, content: bytes) -> Embedding:
        """The embedding that a photo with this content gets."""
        return Embedding(values=pack(unit_vector(content, self.dimension)), space_id=self.space_id)

    def Embed(
        self, request: embedder_pb2.EmbedRequest, context: Context
    ) -> embedder_pb2.EmbedResponse:
        self.requests.append(request)
        self.request_ids.append(request_id(context))
        if self.refusals:
            self.refusals.popleft().abort(context)
        if not 1 <= len(request.images) <= 64:
            message = f"images: expected 1 to 64, got {len(request.images)}"
            Refusal(reason="INVALID_FIELD", message=message, field="images").abort(context)
        return embedder_pb2.EmbedResponse(
            results=[self._result(place, image) for place, image in enumerate(request.images)]
        )

    def GetInfo(
        self, request: embedder_pb2.GetInfoRequest, context: Context
    ) -> embedder_pb2.GetInfoResponse:
        return embedder_pb2.GetInfoResponse(
            space_id=self.space_id,
            dimension=self.dimension,
            architecture="fake",
            layer="hash",
            device="cpu",
            precision="float32",
            max_images_per_call=64,
            max_image_bytes=20_000_000,
            max_image_pixels=50_000_000,
            max_batch=64,
        )

    def _result(self, position: int, image: embedder_pb2.Image) -> embedder_pb2.ImageResult:
        if not image.content:
            message = f"images[{position}].content: expected a JPEG, PNG or WebP file, got no bytes"
            error = embedder_pb2.ImageError(
                reason=error_reason_pb2.ERROR_REASON_UNSUPPORTED_IMAGE,
                message=message,
                metadata={"position": str(position)},
            )
            return embedder_pb2.ImageResult(error=error)
        seen = [image.content + region.SerializeToString() for region in image.regions]
        return embedder_pb2.ImageResult(
            embeddings=[self.embedding(content) for content in seen or [image.content]]
        )


def unit_vector(content: bytes, dimension: int) -> list[float]:
    """Evenly spread over the sphere's sides, so that two contents are all but orthogonal."""
    bits = hashlib.shake_256(content).digest(dimension * 4)
    raw = [(word - 2**31) / 2**31 for (word,) in struct.iter_unpack("<I", bits)]
    length = math.hypot(*raw)
    return [value / length for value in raw]


def pack(vector: list[float]) -> bytes:
    return struct.pack(f"<{len(vector)}f", *vector)


def request_id(context: Context) -> str:
    return str(dict(context.invocation_metadata()).get("x-request-id", ""))
