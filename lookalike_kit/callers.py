"""Who calls, by a token or a certificate, and what a caller may have.

A caller's name is its token's where the service has tokens, else the first name of its certificate.
"""

from __future__ import annotations

import hmac
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

import grpc

from lookalike_kit import calls, logs
from lookalike_kit.errors import NotAllowed, ServiceError, TooManyCalls, Unauthenticated
from lookalike_kit.interceptors import Behaviour, Continuation, Handler, answered_by
from lookalike_kit.refusals import Refuser
from lookalike_kit.reloading import Reloading

SCHEME = "bearer "
MAX_NAME = 128
TOLD_EVERY_SECONDS = 60.0
_NAME = re.compile(rf"[A-Za-z0-9._:/@+=-]{{1,{MAX_NAME}}}")
_DIGEST = re.compile(r"[0-9a-f]{64}")

Tokens = tuple[tuple[bytes, str], ...]

log = logs.get(__name__)


def parse_tokens(text: bytes) -> Tokens:
    """SHA-256 and caller of each token: a line has the caller's name and the digest in hex.

    Several lines with one name are several tokens of one caller, as while it changes to a new one.
    Empty lines and what follows a # say nothing. Raises ValueError.
    """
    found = []
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or not _NAME.fullmatch(words[0]) or not _DIGEST.fullmatch(words[1]):
            # What stands there may be a token: it is not repeated.
            raise ValueError(
                f"line {number}: expected a name and the SHA-256 of its token in hex, got "
                "something else"
            )
        found.append((bytes.fromhex(words[1]), words[0]))
    return tuple(found)


class Callers(grpc.ServerInterceptor):
    """Knows the caller of each call, and refuses those that may not make it.

    tokens: None where callers are known by their certificates.
    allowed: the callers that may call here; None: all that are known.
    max_calls_each: how many calls of one caller may be here at once; None: no limit.
    exempt: a service that anybody may call.
    """

    def __init__(
        self,
        refuser: Refuser,
        tokens: Reloading[Tokens] | None,
        count_over_cap: Callable[[], object],
        *,
        allowed: Iterable[str] | None = None,
        max_calls_each: int | None = None,
        exempt: str = "",
    ) -> None:
        self._refuser = refuser
        self._tokens = tokens
        self._count_over_cap = count_over_cap
        self._allowed = None if allowed is None else frozenset(allowed)
        self._max_calls_each = max_calls_each
        self._exempt = f"/{exempt}/"
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()
        self._told: dict[str, float] = {}

    def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        handler = continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(self._exempt):
            return handler
        caller = ""
        if self._tokens is not None:
            try:
                caller = _by_token(self._tokens, handler_call_details.invocation_metadata)
                # Before the call has a thread: what is too much costs next to nothing.
                self._expect_room(caller)
            except ServiceError as error:
                return self._refuser.refusing(error)
        if handler.response_streaming:
            return handler
        return answered_by(handler, lambda behaviour: self._called(behaviour, caller))

    def _called(self, behaviour: Behaviour, token_caller: str) -> Behaviour:
        def called(request: Any, context: grpc.ServicerContext) -> Any:
            caller = token_caller or _by_certificate(context)
            calls.made_by(caller)
            if self._allowed is not None and caller not in self._allowed:
                raise NotAllowed(caller)
            if self._max_calls_each is None:
                return behaviour(request, context)
            with self._lock:
                self._expect_room(caller)
                self._calls[caller] += 1
            try:
                return behaviour(request, context)
            finally:
                with self._lock:
                    self._calls[caller] -= 1

        return called

    def _expect_room(self, caller: str) -> None:
        most = self._max_calls_each
        if most is None or self._calls[caller] < most:
            return
        self._count_over_cap()
        now = time.monotonic()
        if now >= self._told.get(caller, now):
            self._told[caller] = now + TOLD_EVERY_SECONDS
            log.warning("caller_over_cap", caller=caller, max_calls_each=most)
        raise TooManyCalls(most)


def _by_token(tokens: Reloading[Tokens], metadata: Iterable[tuple[str, str | bytes]]) -> str:
    given = next((value for key, value in metadata if key == "authorization"), None)
    if not isinstance(given, str) or given[: len(SCHEME)].lower() != SCHEME:
        raise Unauthenticated("none")
    digest = sha256(given[len(SCHEME) :].strip().encode()).digest()
    caller = None
    for each, name in tokens.current():  # all of them: how long it takes tells nothing
        if hmac.compare_digest(each, digest):
            caller = name
    if caller is None:
        raise Unauthenticated("another")
    return caller


def _by_certificate(context: grpc.ServicerContext) -> str:
    names = context.peer_identities() or [b""]
    return next(iter(names)).decode("utf-8", "replace")[:MAX_NAME]
