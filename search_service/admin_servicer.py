"""The calls of lookalike.search.v1.IndexAdminService, on the admin port."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import grpc
from lookalike.search.v1 import admin_pb2 as pb
from lookalike.search.v1 import admin_pb2_grpc as rpc

from lookalike_kit.errors import InvalidField, Overloaded
from search_service.loader import Loader, Promoted
from search_service.manifest import NAME, SHA256, Entry
from search_service.pins import Pin
from search_service.readiness import Readiness
from search_service.refusals import Refusal
from search_service.servicer import timestamp
from search_service.shelf import Shelf
from search_service.vitals import Vital, Vitals

_MAX_REASON = 500
Result = TypeVar("Result")


class IndexAdminServicer(rpc.IndexAdminServiceServicer):
    """Says what the loader did, and has it look again, try, pin and unpin."""

    def __init__(
        self, loader: Loader, vitals: Vitals, readiness: Readiness, *, version: str
    ) -> None:
        self._loader = loader
        self._vitals = vitals
        self._readiness = readiness
        self._version = version
        self._started = datetime.now(UTC)
        self._at_work = threading.Lock()

    def GetStatus(
        self, request: pb.GetStatusRequest, context: grpc.ServicerContext
    ) -> pb.GetStatusResponse:
        return self._status()

    def Refresh(
        self, request: pb.RefreshRequest, context: grpc.ServicerContext
    ) -> pb.RefreshResponse:
        self._alone(lambda: self._loader.look(again=True))
        return pb.RefreshResponse(status=self._status())

    def Try(self, request: pb.TryRequest, context: grpc.ServicerContext) -> pb.TryResponse:
        entry = _entry(request)
        refusal = self._alone(lambda: self._loader.try_dark(request.index, entry))
        refused = _refused(refusal) if refusal else None
        return pb.TryResponse(passed=refusal is None, refused=refused)

    def Pin(self, request: pb.PinRequest, context: grpc.ServicerContext) -> pb.PinResponse:
        entry, reason = _entry(request), request.reason
        if not 1 <= len(reason) <= _MAX_REASON:
            raise InvalidField("reason", f"1 to {_MAX_REASON} characters", f"{len(reason)}")
        refusal = self._alone(lambda: self._loader.pin(request.index, entry, reason))
        refused = _refused(refusal) if refusal else None
        return pb.PinResponse(refused=refused, status=self._status())

    def Unpin(self, request: pb.UnpinRequest, context: grpc.ServicerContext) -> pb.UnpinResponse:
        self._alone(lambda: self._loader.unpin(request.index, request.space_id or None))
        return pb.UnpinResponse(status=self._status())

    def _alone(self, work: Callable[[], Result]) -> Result:
        """Does what may take minutes."""
        # Of the admin port's two threads, one has to stay free for health.
        if not self._at_work.acquire(blocking=False):
            raise Overloaded(
                "Refresh, Try, Pin, Unpin: expected one at a time, got another",
                retry_after_seconds=1,
            )
        try:
            return work()
        finally:
            self._at_work.release()

    def _status(self) -> pb.GetStatusResponse:
        store_read = self._loader.store_read
        return pb.GetStatusResponse(
            loaded=[
                _loaded(each, self._vitals.of(each.generation.sha256))
                for each in self._loader.served()
            ],
            refused=[_refused(each) for each in self._loader.refusals],
            pinned=[_pinned(each) for each in self._loader.pins],
            stored=[_stored(*each) for each in sorted(self._loader.shelves.items())],
            ready=self._readiness.is_ready,
            version=self._version,
            start_time=timestamp(self._started),
            missing=self._readiness.missing(),
            store_read_time=timestamp(store_read) if store_read else None,
            store_trouble=self._loader.store_trouble,
        )


def _entry(request: pb.TryRequest | pb.PinRequest) -> Entry:
    """What a request names; its names become keys of the store."""
    if not NAME.fullmatch(request.index):
        raise InvalidField("index", f"a name like {NAME.pattern}", repr(request.index[:80]))
    for field in ("space_id", "manifest_sha256"):
        value = getattr(request, field)
        if not SHA256.fullmatch(value):
            raise InvalidField(field, "64 hexadecimal digits", repr(value[:80]))
    if not 1 <= request.generation < 10**8:
        raise InvalidField("generation", "a number from 1 to 99,999,999", f"{request.generation}")
    return Entry(
        space_id=request.space_id,
        generation=request.generation,
        manifest_sha256=request.manifest_sha256,
    )


def _loaded(promoted: Promoted, vital: Vital) -> pb.LoadedGeneration:
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
        is_pinned=promoted.is_pinned,
        live_recall=vital.live_recall or 0.0,
        live_recall_samples=vital.live_recall_samples,
        queries=vital.queries,
        internal_errors=vital.internal_errors,
    )


def _refused(refusal: Refusal) -> pb.RefusedGeneration:
    return pb.RefusedGeneration(
        index=refusal.index,
        generation=refusal.generation,
        manifest_sha256=refusal.manifest_sha256,
        reason=refusal.reason,
        message=refusal.message,
        refuse_time=timestamp(refusal.time),
        passing=refusal.passing,
    )


def _pinned(pin: Pin) -> pb.PinnedGeneration:
    return pb.PinnedGeneration(
        index=pin.index,
        space_id=pin.entry.space_id,
        generation=pin.entry.generation,
        manifest_sha256=pin.entry.manifest_sha256,
        reason=pin.reason,
        pin_time=timestamp(pin.since),
    )


def _stored(index: str, shelf: Shelf) -> pb.StoredIndex:
    return pb.StoredIndex(
        index=index,
        newest_generation=shelf.newest,
        has_current=shelf.has_current,
        hold_time=timestamp(shelf.held_since) if shelf.held_since else None,
        hold_reason=shelf.hold_reason,
    )
