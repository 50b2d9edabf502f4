"""Callers by token: as fast as they are answered, or at fixed times whatever comes back.

For processes of their own (`processes`), so that their work is not counted as the service's.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import grpc

CONNECTIONS = 4  # of each caller: beyond 100 calls at once a connection holds calls back by itself
_CONNECT_SECONDS = 20.0


@dataclass(frozen=True)
class Asked:
    """A method's full name, and serialized requests for it, sent in turn."""

    address: str
    method: str
    requests: Sequence[bytes]
    deadline_seconds: float


@dataclass
class Outcome:
    """What became of one caller's calls: how many by status, and how late each answer was."""

    codes: Counter[str] = field(default_factory=Counter)
    answer_seconds: list[float] = field(default_factory=list)


def processes(count: int, cores: Collection[int]) -> ProcessPoolExecutor:
    """Where `ask` and `send` are to run."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, spawn, os.sched_setaffinity, (0, cores))


def ask(asked: Asked, tokens: Sequence[str], at_once: int, seconds: float) -> float:
    """Answers a second when so many calls are always out, by turns of all tokens."""
    ends = time.monotonic() + seconds
    with ExitStack() as stack, ThreadPoolExecutor(at_once) as pool:
        calls = [_connected(stack, asked) for _ in range(at_once)]

        def keep_asking(number: int) -> int:
            answered = 0
            while time.monotonic() < ends:
                calls[number](_next(asked, answered), metadata=_bearing(tokens, number)).result()
                answered += 1
            return answered

        return sum(pool.map(keep_asking, range(at_once))) / seconds


def send(asked: Asked, tokens: Sequence[str], rate: float, seconds: float) -> list[Outcome]:
    """By token; `rate` is each caller's, in calls a second. None is tried again."""
    outcomes = [Outcome() for _ in tokens]
    ended = threading.Semaphore(0)
    with ExitStack() as stack:
        calls = [_connected(stack, asked) for _ in range(CONNECTIONS * len(tokens))]
        begin = time.monotonic()
        count = round(seconds * rate) * len(tokens)
        for number in range(count):
            due = begin + number / rate / len(tokens)
            time.sleep(max(0.0, due - time.monotonic()))
            call = calls[number % len(calls)](
                _next(asked, number),
                timeout=asked.deadline_seconds,
                metadata=_bearing(tokens, number),
            )
            call.add_done_callback(_counting(outcomes[number % len(tokens)], due, ended))
        for _ in range(count):
            ended.acquire()
    return outcomes


def _next(asked: Asked, number: int) -> bytes:
    return asked.requests[number % len(asked.requests)]


def _bearing(tokens: Sequence[str], number: int) -> tuple[tuple[str, str]]:
    return (("authorization", f"Bearer {tokens[number % len(tokens)]}"),)


def _counting(outcome: Outcome, due: float, ended: threading.Semaphore) -> Callable[[Any], None]:
    def count(call: Any) -> None:
        outcome.codes[call.code().name] += 1
        if call.code() is grpc.StatusCode.OK:
            outcome.answer_seconds.append(time.monotonic() - due)
        ended.release()

    return count


def _connected(stack: ExitStack, asked: Asked) -> Callable[..., Any]:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    channel = stack.enter_context(grpc.insecure_channel(asked.address, options))
    grpc.channel_ready_future(channel).result(timeout=_CONNECT_SECONDS)
    call: Callable[..., Any] = channel.unary_unary(asked.method).future
    return call
