"""What the code below a handler may ask about the call it works for.

A call keeps to one thread from start to end, so this is thread-local; other threads see no call.
"""

import re
import secrets
import threading
from collections.abc import Iterable

REQUEST_ID = "x-request-id"
# A caller's id goes into logs and back into metadata: short, and without spaces or quotes.
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


class _Current(threading.local):
    admission_micros = 0
    request_id = ""


_current = _Current()


def admission_micros() -> int:
    """How long the current call waited for its thread, in microseconds; 0 outside a call."""
    return _current.admission_micros


def request_id() -> str:
    """The current call's id, the caller's or made here; empty outside a call."""
    return _current.request_id


def admitted(waited_micros: int) -> None:
    """This thread takes up a call that waited so long for it."""
    _current.admission_micros = waited_micros


def begin(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """This thread handles a call with this metadata; its request id."""
    _current.request_id = _given(metadata) or secrets.token_hex(8)
    return _current.request_id


def end() -> None:
    """The thread is free again."""
    _current.admission_micros = 0
    _current.request_id = ""


def _given(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    for key, value in metadata:
        if key == REQUEST_ID and isinstance(value, str) and _ACCEPTABLE.fullmatch(value):
            return value
    return None
