"""inference.GRPCInferenceService, KServe's Open Inference Protocol: a second face of the same.

One model, whose version is its space: an answer's `model_version` says where its vectors belong.
The protocol has no word for one element that fails, so a bad image fails its call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import grpc
import numpy as np
from lookalike.embedder.v1.embedder_pb2 import GetInfoResponse
from lookalike.inference import open_inference_pb2 as pb
from lookalike.inference import open_inference_pb2_grpc as pb_grpc
from lookalike.v1.error_reason_pb2 import ErrorReason

from embedder_service import account, tensors
from embedder_service.decoder import Squares
from embedder_service.pipeline import Pipeline
from lookalike_kit import calls
from lookalike_kit.errors import ServiceError

MODEL = "lookalike"  # the space's id is a name of it as well
SERVER = "lookalike-embedder"

Tensor = pb.ModelMetadataResponse.TensorMetadata


class UnknownModel(ServiceError):
    """Another model, or version of it, than the one that is here."""

    status = grpc.StatusCode.NOT_FOUND
    reason = ErrorReason.ERROR_REASON_UNKNOWN_MODEL


class InferenceServicer(pb_grpc.GRPCInferenceServiceServicer):
    """One replica. `is_ready` says what health says."""

    def __init__(
        self, pipeline: Pipeline, info: GetInfoResponse, is_ready: Callable[[], bool]
    ) -> None:
        self._pipeline = pipeline
        self._info = info
        self._is_ready = is_ready

    def ModelInfer(
        self, request: pb.ModelInferRequest, context: grpc.ServicerContext
    ) -> pb.ModelInferResponse:
        """Image files in, vectors out, in the form in which the images came."""
        self._check_model("model_name", request.model_name, "model_version", request.model_version)
        tensors.check_outputs(request)
        bulk = tensors.is_bulk(request)
        photos = tensors.read_photos(request, self._info.max_images_per_call)
        calls.tell(lambda: account.asked(photos, bulk, self._info.space_id))
        answer = self._pipeline.embed(photos, bulk, context, accept=_refuse_bad_images)
        calls.tell(lambda: account.answered(answer))
        response = pb.ModelInferResponse(
            model_name=request.model_name, model_version=self._info.space_id, id=request.id
        )
        vectors = [each for each in answer.photos if not isinstance(each, ServiceError)]
        raw = bool(request.raw_input_contents)
        tensors.write_vectors(np.concatenate(vectors), raw, response)
        return response

    def ServerLive(
        self, request: pb.ServerLiveRequest, context: grpc.ServicerContext
    ) -> pb.ServerLiveResponse:
        """It answers."""
        return pb.ServerLiveResponse(live=True)

    def ServerReady(
        self, request: pb.ServerReadyRequest, context: grpc.ServicerContext
    ) -> pb.ServerReadyResponse:
        """As health says."""
        return pb.ServerReadyResponse(ready=self._is_ready())

    def ModelReady(
        self, request: pb.ModelReadyRequest, context: grpc.ServicerContext
    ) -> pb.ModelReadyResponse:
        """As health says: the process is there for its model."""
        self._check_model("name", request.name, "version", request.version)
        return pb.ModelReadyResponse(ready=self._is_ready())

    def ServerMetadata(
        self, request: pb.ServerMetadataRequest, context: grpc.ServicerContext
    ) -> pb.ServerMetadataResponse:
        """Name and version of the software."""
        return pb.ServerMetadataResponse(name=SERVER, version=self._info.version)

    def ModelMetadata(
        self, request: pb.ModelMetadataRequest, context: grpc.ServicerContext
    ) -> pb.ModelMetadataResponse:
        """The two tensors, and the space as the version."""
        self._check_model("name", request.name, "version", request.version)
        return pb.ModelMetadataResponse(
            name=request.name,
            versions=[self._info.space_id],
            platform="lookalike_safetensors",
            inputs=[Tensor(name=tensors.INPUT, datatype="BYTES", shape=[-1])],
            outputs=[
                Tensor(name=tensors.OUTPUT, datatype="FP32", shape=[-1, self._info.dimension])
            ],
        )

    def _check_model(self, name_field: str, name: str, version_field: str, version: str) -> None:
        space = self._info.space_id
        if name not in (MODEL, space):
            raise _unknown(name_field, f"{MODEL!r} or its space {space}", name, space)
        if version not in ("", space):
            raise _unknown(version_field, f"none or the space {space}", version, space)


def _unknown(field: str, expected: str, got: str, space: str) -> UnknownModel:
    return UnknownModel(f"{field}: expected {expected}, got {got!r}", field=field, served=space)


def _refuse_bad_images(read: Sequence[Squares]) -> None:
    """With the first one's reason; the message begins with the positions of all."""
    bad = [(at, image) for at, image in enumerate(read) if isinstance(image, ServiceError)]
    if not bad:
        return
    first, error = bad[0]
    positions = ", ".join(str(at) for at, _ in bad)
    why = "; ".join(f"[{at}] {image.message}" for at, image in bad)
    told = type(error)(
        f"inputs[0]: expected images that can be read, got others at {positions}: {why}",
        field="inputs[0]",
        position=str(first),
    )
    told.metadata.update(error.metadata)
    raise told
