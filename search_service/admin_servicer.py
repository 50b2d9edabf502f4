"""The calls of lookalike.search.v1.IndexAdminService, on the admin port."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import grpc
from lookalike.search.v1 import admin_pb2 as pb
from lookalike.search.v1 import admin_pb2_grpc as rpc

from lookalike_kit.errors import Overloaded
from search_service.loader import Loader, Promoted, Refusal
from search_service.servicer import timestamp


class IndexAdminServicer(rpc.IndexAdminServiceServicer):
    """Says what the loader did, and has it look again."""

    def __init__(self, loader: Loader, *, version: str, is_ready: Callable[[], bool]) -> None:
        self._loader = loader
        self._version = version
        self._is_ready = is_ready
        self._started = datetime.now(UTC)
        self._refreshing = threading.Lock()

    def GetStatus(
        self, request: pb.GetStatusRequest, context: grpc.ServicerContext
    ) -> pb.GetStatusResponse:
        return pb.GetStatusResponse(
            loaded=[_loaded(each) for each in self._loader.served()],
            refused=[_refused(each) for each in self._loader.refusals],
            ready=self._is_ready(),
            version=self._version,
            start_time=timestamp(self._started),
        )

    def Refresh(
        self, request: pb.RefreshRequest, context: grpc.ServicerContext
    ) -> pb.RefreshResponse:
        # Of the admin port's two threads, one has to stay free for health.
        if not self._refreshing.acquire(blocking=False):
            raise Overloaded("Refresh: expected one at a time, got another", retry_after_seconds=1)
        try:
            self._loader.look(again=True)
        finally:
            self._refreshing.release()
        return pb.RefreshResponse(status=self.GetStatus(pb.GetStatusRequest(), context))


def _loaded(promoted: Promoted) -> pb.LoadedGeneration:
    manifest = promoted.generation.manifest
    return pb.LoadedGeneration(
        index=manifest.index,
        space_id=manifest.space_id,
        generation=manifest.number,
        manifest_sha256=promoted.generation.sha256,
        create_time=timestamp(manifest.created_at),
        promote_time=timestamp(promoted.time),
        photo_count=manifest.photos,
        item_count=manifest.items,
        mapped_bytes=manifest.mapped_bytes,
        is_current=promoted.is_current,
    )


def _refused(refusal: Refusal) -> pb.RefusedGeneration:
    return pb.RefusedGeneration(
        index=refusal.index,
        generation=refusal.generation,
        manifest_sha256=refusal.manifest_sha256,
        reason=refusal.reason,
        message=refusal.message,
        refuse_time=timestamp(refusal.time),
    )
