"""What the code below a handler may ask about the call it works for.

A call keeps to one thread from start to end, so this is thread-local; other threads see no call,
but where they do its work for it (`carrier`).
"""

import random
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

# Not the system's generator, for which other threads get the interpreter's lock.
_ids = random.Random()
Facts = Mapping[str, Any]
T = TypeVar("T")

REQUEST_ID = "x-request-id"
# A caller's id goes into logs and back into metadata: short, and without spaces or quotes.
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


class Trace(Protocol):
    """The span of a call that is traced; lookalike_kit.spans has one. trace_id: in hex."""

    trace_id: str

    def tell(self, facts: Facts) -> None:
        """What became known of the call, once it ends."""


class Carrier(Protocol):
    """Does work as one call's, on whichever thread asks."""

    def __call__(self, work: Callable[[], T]) -> T: ...


def _always() -> bool:
    return True


class _Current(threading.local):
    admission_micros = 0
    pressure = 0.0
    request_id = ""
    caller = ""
    is_awaited: Callable[[], bool] = staticmethod(_always)
    tellers: tuple[Callable[[], Facts], ...] = ()
    trace: Trace | None = None


_current = _Current()


def admission_micros() -> int:
    """How long the current call waited for its thread, in microseconds; 0 outside a call."""
    return _current.admission_micros


def pressure() -> float:
    """How many of the places to wait in were taken when the current call got its thread, 0 to 1."""
    return _current.pressure


def check_caller() -> None:
    """Raises CallerGone if nobody waits for the current call any more. Takes a microsecond.

    Long work asks this between its steps. Outside a call it does nothing.
    """
    if not _current.is_awaited():
        # Here, because errors loads grpc: 0.14 s for each child that checks files.
        from lookalike_kit.errors import CallerGone

        raise CallerGone("the caller is gone")


def awaited() -> Callable[[], bool]:
    """Whether anybody waits for the current call: to ask on another thread, too."""
    return _current.is_awaited


@contextmanager
def awaited_by(any_of: Sequence[Callable[[], bool]]) -> Iterator[None]:
    """Within it the current call's work is several calls', as long as one of them is awaited."""
    before = _current.is_awaited
    _current.is_awaited = lambda: any(is_awaited() for is_awaited in any_of)
    try:
        yield
    finally:
        _current.is_awaited = before


def carrier() -> Carrier:
    """What has other threads do their work as the current call's."""
    state = dict(_current.__dict__)

    def done(work: Callable[[], T]) -> T:
        _current.__dict__.update(state)
        try:
            return work()
        finally:
            _current.__dict__.clear()

    return done


def request_id() -> str:
    """The current call's id, the caller's or made here; empty outside a call."""
    return _current.request_id


def caller() -> str:
    """Who makes the current call, by token or certificate; empty where callers are not known."""
    return _current.caller


def tell(facts: Callable[[], Facts]) -> None:
    """What the call's line in the log or its trace may say; asked at its end, if either is wanted.

    Names and numbers of ours; nothing that a caller wrote but ids of a bounded length.
    `stage_micros` says where the time went, in the order of the stages.
    """
    _current.tellers = (*_current.tellers, facts)


def told() -> dict[str, Any]:
    """All that `tell` was given, what was told last above what was told before."""
    return {name: fact for facts in _current.tellers for name, fact in facts().items()}


def trace() -> Trace | None:
    """The current call's span; None where it is not traced."""
    return _current.trace


def exemplar() -> dict[str, str] | None:
    """What a histogram keeps beside an observation of the current call: where to see it whole."""
    return exemplar_of(_current.trace)


def exemplar_of(trace: Trace | None) -> dict[str, str] | None:
    """The same for another call's observation."""
    return {"trace_id": trace.trace_id} if trace else None


def traced(trace: Trace | None) -> None:
    """This thread handles a call with this span, or handles it no more. `end` leaves it alone."""
    _current.trace = trace


def made_by(caller: str) -> None:
    """This thread handles a call of this caller."""
    _current.caller = caller


def admitted(waited_micros: int, pressure: float) -> None:
    """This thread takes up a call that waited so long for it, with so many others waiting."""
    _current.admission_micros = waited_micros
    _current.pressure = pressure


def begin(
    metadata: Iterable[tuple[str, str | bytes]], is_awaited: Callable[[], bool] = _always
) -> str:
    """This thread handles a call with this metadata; its request id."""
    _current.is_awaited = is_awaited
    _current.request_id = _given(metadata) or f"{_ids.getrandbits(64):016x}"
    return _current.request_id


def end() -> None:
    """The thread is free again."""
    _current.admission_micros = 0
    _current.pressure = 0.0
    _current.request_id = ""
    _current.caller = ""
    _current.is_awaited = _always
    _current.tellers = ()


def _given(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    for key, value in metadata:
        if key == REQUEST_ID and isinstance(value, str) and _ACCEPTABLE.fullmatch(value):
            return value
    return None
