"""One caller that asks for 20 times its share: what the others get meanwhile.

python -m proofs.fairness [--seconds N] [--times N]

Five callers, known by their tokens, and each tier in turn with MAX_CALLS_EACH. Peak is what a few
calls at once get; a caller's share is a fifth of it. Four send at 0.7 of their shares, at fixed
times, each call with a second; first alone, then while the fifth sends `times` its share, then
alone again. Their goodput is what was answered in time. The same once more without the cap. The
embedder's device is a clock. The service has half of the cores and the callers the others, so that
what a caller's own work takes is not the service's loss.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
from lookalike.embedder.v1 import embedder_pb2
from lookalike.search.v1 import search_pb2
from lookalike.v1.embedding_pb2 import Embedding
from lookalike_cli.processes import Running

from benchmarks.record import record, table
from proofs import tiers
from proofs.backend import photos
from proofs.paced import Asked, Outcome, ask, processes, send
from proofs.replica import workplace
from search_service.build import BuildOptions, Source, build, publish
from search_service.store import Store

SECONDS, TIMES = 20.0, 20.0
LEAST_KEPT = 0.95
CALLERS = GREEDY, *OTHERS = ("greedy", "shop", "depot", "till", "desk")  # each its own token
LOAD = 0.7  # of a share
MAX_CALLS_EACH = 16  # of the 72 that the search service takes
DEADLINE_SECONDS = 1.0
AT_ONCE = 8
CAPPED = ("search", "embedder")
CASES = tuple(f"{tier}{without}" for tier in CAPPED for without in ("", ", no cap"))
ROWS = 40_000  # all of them are compared with each query: about 10 ms of a core
_MODEL_MILLISECONDS = 10.0  # an image


@dataclass(frozen=True)
class Tier:
    """start: with settings. method, requests: what its callers ask."""

    start: Callable[..., AbstractContextManager[Running]]
    method: str
    requests: Sequence[bytes]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each load")
    parser.add_argument("--times", type=float, default=TIMES, help="its share that the fifth asks")
    parser.add_argument("--rows", type=int, default=ROWS, help="of the search service's index")
    given = parser.parse_args(arguments)
    figures = measure(CASES, given.seconds, given.times, given.rows)
    table(
        f"Four callers beside one at {given.times:g} times its share",
        ("tier", *figures["search"]),
        [(name, *of.values()) for name, of in figures.items()],
    )
    is_full_size = (given.seconds, given.times, given.rows) == (SECONDS, TIMES, ROWS)
    record("proof_fairness", {"times": given.times, **figures}, is_full_size=is_full_size)
    if short := [name for name in CAPPED if figures[name]["kept"] < LEAST_KEPT]:
        raise SystemExit(f"expected {LEAST_KEPT:.0%} of the others' goodput, got less: {short}")


def measure(
    cases: Sequence[str], seconds: float, times: float, rows: int
) -> dict[str, dict[str, float]]:
    """By case: a tier as it is meant, or without the cap."""
    figures = {}
    with workplace() as folder:
        tokens = folder / "tokens"
        tokens.write_text("".join(f"{name} {_digest(name)}\n" for name in CALLERS))
        of = {
            "search": cache(lambda: _search(folder, rows)),
            "embedder": cache(lambda: _embedder(folder)),
        }
        for case in cases:
            name, _, without = case.partition(", ")
            tier = of[name]()
            cap = {} if without else {"max_calls_each": MAX_CALLS_EACH}
            with tier.start(tokens=tokens, **cap) as running:
                figures[case] = _loaded(running.address, tier, seconds, times)
    return figures


def _loaded(address: str, tier: Tier, seconds: float, times: float) -> dict[str, float]:
    asked = Asked(address, tier.method, tier.requests, DEADLINE_SECONDS)
    with processes(2, _cores()[1]) as at:
        peak = at.submit(ask, asked, CALLERS, AT_ONCE, seconds).result()
        share = peak / len(CALLERS)
        those = (asked, OTHERS, LOAD * share, seconds)
        alone = at.submit(send, *those).result()
        fifth = at.submit(send, asked, (GREEDY,), times * share, seconds)
        beside = at.submit(send, *those).result()
        (greedy,) = fifth.result()
        again = at.submit(send, *those).result()
    usual = [
        (len(a.answer_seconds) + len(b.answer_seconds)) / 2
        for a, b in zip(alone, again, strict=True)
    ]
    kept = min(len(o.answer_seconds) / (u or 1) for o, u in zip(beside, usual, strict=True))
    return {
        "peak": round(peak, 1),
        "kept": round(kept, 4),
        "p99_ms_alone": _p99_ms(alone),
        "p99_ms_beside": _p99_ms(beside),
        "others_refused": sum(o.codes["RESOURCE_EXHAUSTED"] for o in beside),
        "others_late": sum(o.codes["DEADLINE_EXCEEDED"] for o in beside),
        "fifth_sent": round(greedy.codes.total() / seconds, 1),
        "fifth_answered": round(greedy.codes["OK"] / seconds, 1),
    }


def _search(folder: Path, rows: int) -> Tier:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(rows, tiers.DIMENSION)).astype(np.float32)
    photo_ids = pa.table({"photo_id": [f"{row:06d}" for row in range(rows)]})
    build(Source(vectors, photo_ids, tiers.SPACE), folder / "build", BuildOptions(engine="exact"))
    store = Store(folder / "store")
    publish(store, tiers.INDEX, folder / "build")
    queries = [
        search_pb2.Query(embedding=Embedding(values=vector.tobytes(), space_id=tiers.SPACE))
        for vector in vectors[:50] + 0.1
    ]
    return Tier(
        partial(tiers.search, store, folder / "cache", folder / "log", _kept_to_its_cores()),
        "/lookalike.search.v1.SearchService/Search",
        [
            search_pb2.SearchRequest(index=tiers.INDEX, query=query).SerializeToString()
            for query in queries
        ],
    )


def _embedder(folder: Path) -> Tier:
    requests = [
        embedder_pb2.EmbedRequest(images=[embedder_pb2.Image(content=photo)]) for photo in photos()
    ]
    return Tier(
        partial(tiers.embedder, folder / "log", _kept_to_its_cores(), model=_MODEL_MILLISECONDS),
        "/lookalike.embedder.v1.EmbedderService/Embed",
        [request.SerializeToString() for request in requests],
    )


def _cores() -> tuple[list[int], list[int]]:
    """The service's, the callers'; a single one is everybody's."""
    all_of_them = sorted(os.sched_getaffinity(0))
    half = len(all_of_them) // 2
    return all_of_them[:half] or all_of_them, all_of_them[half:]


def _kept_to_its_cores() -> tuple[str, ...]:
    return ("taskset", "--cpu-list", ",".join(map(str, _cores()[0])))


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _p99_ms(outcomes: Sequence[Outcome]) -> float:
    seconds = [each for outcome in outcomes for each in outcome.answer_seconds]
    return round(1e3 * float(np.percentile(seconds, 99)), 1) if seconds else float("inf")


if __name__ == "__main__":
    main()
