"""Damaged generations through a real server: refused, or as good as what their manifest promises.

python -m proofs.mutations [--mutations N] [--workers N] [--seed N]

Each of many small indexes serves a good generation, and its next one is damaged in one file. Half
of the damage lies in the store as it is: the hash must tell. For the other half blob name, manifest
and CURRENT are made right again, so that the structural check and the golden queries meet it. One
Refresh takes in one mutation an index; afterwards every index is asked, by the exact comparison, by
the engine and by item, and what was accepted is compared with brute force over the damaged files.
"""

import argparse
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import grpc
import numpy as np
from lookalike.search.v1 import search_pb2
from msgspec.structs import replace

from benchmarks.record import record, table
from proofs.catalogue import DIMENSION, SPACE, build_of, change, take_out
from proofs.mutants import mutant
from proofs.replica import Replica, by_item, by_vector, bystander, replica, workplace
from search_service.build import Published, publish
from search_service.generation import Generation
from search_service.golden import GoldenQueries
from search_service.manifest import (
    SCHEMA,
    Blob,
    Current,
    Entry,
    FormatError,
    Manifest,
    blob_key,
    current_key,
    decode,
    digest,
    encode,
    manifest_key,
)
from search_service.store import Store

MUTATIONS = 5_000
VICTIMS = 50  # indexes a server: GetStatus lists a hundred refusals
# Every so many victims a forest in the delta, which takes 2,000 photos to be planted.
LARGE_DELTA_EVERY = 20
KINDS = ("forest", "projected", "exact", "graph", "delta")
HEALTHY = "healthy"
NEITHER = "neither refused nor served"


@dataclass(frozen=True, eq=False)
class Victim:
    """An index, the good generation that it serves, and the next one, whole."""

    index: str
    good: Published
    next: Manifest
    files: dict[str, bytes]  # by role: "base vectors", "delta items", "dead", "manifest"
    queries: np.ndarray
    good_ids: frozenset[str]
    good_id: str
    good_again: str  # by SHA-256: the same under another date

    @property
    def width(self) -> int:
        return self.next.segments[-1].width or self.next.dimension


@dataclass(frozen=True)
class Attempt:
    """One mutation as it lies in the store."""

    victim: Victim
    role: str
    way: str
    is_made_right: bool
    sha256: str  # of the manifest that CURRENT names

    def __str__(self) -> str:
        right = "made right" if self.is_made_right else "as it lies"
        return f"{self.victim.index}, {self.role}, {self.way}, {right}"


@dataclass
class Tally:
    """What became of mutations, by role and by what was right about them."""

    became: Counter[tuple[str, bool, str]] = field(default_factory=Counter)
    ways: Counter[tuple[str, str]] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.became += other.became
        self.ways += other.ways
        self.calls += other.calls
        self.wrong += other.wrong
        self.notes += other.notes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=MUTATIONS)
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--victims", type=int, default=VICTIMS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    begun = perf_counter()
    share = -(-options.mutations // options.workers)
    tally = Tally()
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        seeds = [1 + options.seed + 1_000 * worker for worker in range(options.workers)]
        for part in pool.map(work, seeds, repeat(share), repeat(options.victims)):
            tally.add(part)
    _print(tally)
    print("\n".join(["", *tally.notes]))
    figures = _figures(tally) | {"seconds": round(perf_counter() - begun)}
    record("proof_mutations", figures, is_full_size=options.mutations >= MUTATIONS)
    if tally.wrong:
        raise SystemExit("\n".join(tally.wrong[:20]))


def work(seed: int, mutations: int, victims: int) -> Tally:
    """A server of its own, and its share of the mutations."""
    with workplace() as folder:
        store, elsewhere = Store(folder / "store"), Store(folder / "elsewhere")
        hurt = _victims(store, folder / "builds", min(victims, mutations), seed)
        # One of each kind: they lie in another store, so that nobody heals what is damaged here.
        strangers = _victims(
            elsewhere, folder / "strangers", len(KINDS), seed + VICTIMS, "stranger"
        )
        with replica(store, folder / "cache") as server:
            return _Worker(store, server, hurt, strangers, seed).run(mutations)


def _victims(
    store: Store, folder: Path, count: int, seed: int, name: str = "victim"
) -> list[Victim]:
    good = publish(store, HEALTHY, build_of("exact", folder / "healthy"))
    vectors = np.load(store.root / blob_key(good.manifest.base.blobs["vectors"].sha256))
    return [_victim(store, folder, f"{name}-{i}", i, seed + i, vectors[::9]) for i in range(count)]


def _victim(
    store: Store, folder: Path, index: str, number: int, seed: int, queries: np.ndarray
) -> Victim:
    kind = KINDS[number % len(KINDS)]
    if kind == "delta":
        large = number % LARGE_DELTA_EVERY == KINDS.index(kind)
        base = build_of("projected", folder / index, seed=seed, prefix=index)
        good = publish(store, index, base)
        items = [f"{index}{i:04d}" for i in Random(seed).sample(range(60), 8)]
        change(store, index, items=items[:6], added=1_000 if large else 5, seed=seed)
        last = take_out(store, index, items[5:])
    else:
        good = publish(store, index, folder / "healthy")
        last = publish(store, index, build_of(kind, folder / index, seed=seed, prefix=index))
    truth = Truth(Generation.open(good.manifest, good.sha256, store.root / "blobs"))
    again = encode(replace(good.manifest, created="2025-01-01T00:00:00+00:00"))
    store.put(manifest_key(index, good.manifest.number, digest(again)), again)
    victim = Victim(
        index=index,
        good=good,
        next=last.manifest,
        files=_files(store, good.manifest, last.manifest),
        queries=queries,
        good_ids=truth.ids,
        good_id=truth.an_id,
        good_again=digest(again),
    )
    _serve(store, victim, good.sha256, good.manifest.number)
    return victim


def _files(store: Store, good: Manifest, manifest: Manifest) -> dict[str, bytes]:
    """What may be damaged: all that the good generation has not."""
    name = "delta" if manifest.delta else "base"
    blobs = {f"{name} {role}": blob for role, blob in manifest.segments[-1].blobs.items()}
    if manifest.dead:
        blobs["dead"] = manifest.dead.blob
    known = good.blobs()
    files = {
        role: store.read(blob_key(blob.sha256))
        for role, blob in blobs.items()
        if blob.sha256 not in known
    }
    return {**files, "manifest": encode(manifest)}


def _serve(store: Store, victim: Victim, sha256: str, number: int) -> None:
    entry = Entry(space_id=SPACE, generation=number, manifest_sha256=sha256)
    current = encode(Current(schema=SCHEMA, serving=(entry,)))
    store.put(current_key(victim.index), current)


class _Worker:
    """One server, its victims, and what becomes of them round by round."""

    def __init__(
        self,
        store: Store,
        server: Replica,
        victims: list[Victim],
        strangers: list[Victim],
        seed: int,
    ) -> None:
        self._store = store
        self._server = server
        self._victims = victims
        self._strangers = strangers
        self._chance = Random(seed)
        self._tally = Tally()
        self._written = 0
        self._rounds = 0
        self._whole = set(store.names("blobs"))

    def run(self, mutations: int) -> Tally:
        self._server.refresh()
        with bystander(self._server, HEALTHY, by_vector(np.ones(DIMENSION))) as calls:
            while self._written < mutations and self._server.running.exit_code is None:
                self._round(self._victims[: mutations - self._written])
        if self._server.running.exit_code is not None:
            self._tally.wrong.append(f"the server died:\n{self._server.running.last_words()}")
        self._tally.calls.update(answered=calls.answered, failed=calls.failed)
        if calls.failed:
            self._tally.wrong.append(f"a call failed meanwhile: {calls.last_error}")
        return self._tally

    def _round(self, victims: list[Victim]) -> None:
        """One mutation an index, one look of the server at all of them."""
        attempts = [self._damage(victim) for victim in victims]
        status = self._server.refresh()
        loaded = {each.index: each.manifest_sha256 for each in status.loaded}
        refused = {each.manifest_sha256: each for each in status.refused}
        accepted = []
        for attempt in attempts:
            served = loaded.get(attempt.victim.index)
            if served == attempt.sha256:
                became = "served"
                accepted.append(attempt.victim)
            elif attempt.sha256 in refused:
                became = refused[attempt.sha256].reason
                if became == "failed":  # by an error that nobody has thought of
                    self._tally.notes.append(f"{attempt}: {refused[attempt.sha256].message}")
            else:
                became = NEITHER
            self._tally.became[attempt.role, attempt.is_made_right, became] += 1
            self._tally.wrong += [
                f"{attempt}: {each}" for each in self._faults(attempt, became, served)
            ]
        self._put_back(attempts, accepted)

    def _damage(self, victim: Victim) -> Attempt:
        """Writes a generation that is new by its date and damaged in one file; CURRENT names it."""
        self._written += 1
        made_right = (self._written + self._rounds) % 2 == 0
        date = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._written)
        manifest = replace(victim.next, created=date.isoformat())
        files = {**victim.files, "manifest": encode(manifest)}
        role = self._chance.choice(sorted(files))
        other = self._chance.choice([each for each in self._strangers if role in each.files])
        way, became = mutant(role, victim.width, files[role], other.files[role], self._chance)
        named = became if role == "manifest" and made_right else files["manifest"]
        if role != "manifest":
            if made_right:
                named = encode(_with_blob(manifest, role, became))
            self._store.put(blob_key(digest(became if made_right else files[role])), became)
        lying = became if role == "manifest" else named
        self._store.put(manifest_key(victim.index, manifest.number, digest(named)), lying)
        _serve(self._store, victim, digest(named), manifest.number)
        self._tally.ways[role.rpartition(" ")[2], way] += 1
        return Attempt(victim, role, way, made_right, digest(named))

    def _faults(self, attempt: Attempt, became: str, served: str | None) -> Iterator[str]:
        """What is wrong with what became of a mutation."""
        victim = attempt.victim
        if became == "served" and not attempt.is_made_right:
            yield "expected to be refused, got served"
        if became == NEITHER:
            yield became
        if became != "served" and served != victim.good.sha256:
            yield f"expected the generation before to serve, got {served}"
        try:
            if became == "served" and attempt.is_made_right:
                yield from self._faults_of_served(attempt)
            elif became != "served":
                yield from self._faults_of_answers(victim, victim.good_ids, victim.good_id)
        except grpc.RpcError as error:
            yield f"expected answers, got {error}"

    def _faults_of_answers(self, victim: Victim, ids: frozenset[str], known: str) -> Iterator[str]:
        queries = [by_vector(victim.queries[0]), by_vector(victim.queries[1]), by_item(known)]
        accuracies = (search_pb2.ACCURACY_EXACT, search_pb2.ACCURACY_RECALL_90, 0)
        for query, accuracy in zip(queries, accuracies, strict=True):
            hits = self._server.ask(victim.index, query, k=5, accuracy=accuracy).hits
            if len(hits) != 5 or not ids.issuperset(hit.item_id for hit in hits):
                yield f"expected 5 items of the index, got {[hit.item_id for hit in hits]}"

    def _faults_of_served(self, attempt: Attempt) -> Iterator[str]:
        """By brute force over the damaged files, and by the golden queries of the whole ones."""
        victim = attempt.victim
        data = self._store.read(manifest_key(victim.index, victim.next.number, attempt.sha256))
        manifest = decode(data, Manifest, "manifest")
        generation = Generation.open(manifest, attempt.sha256, self._store.root / "blobs")
        truth = Truth(generation)
        yield from self._faults_of_answers(victim, truth.ids, truth.an_id)
        for query in victim.queries[:5]:
            answer = self._server.ask(
                victim.index, by_vector(query), k=10, accuracy=search_pb2.ACCURACY_EXACT
            )
            got = [hit.photos[0].distance for hit in answer.hits]
            if not np.allclose(got, truth.distances(query, 10), atol=1e-4):
                yield f"expected the distances {truth.distances(query, 10)}, got {got}"
        yield from self._faults_of_golden(victim, generation)

    def _faults_of_golden(self, victim: Victim, generation: Generation) -> Iterator[str]:
        part, about = generation.segments.parts[-1], victim.next.segments[-1]
        path = self._store.root / blob_key(about.blobs["golden"].sha256)
        golden = GoldenQueries.read(path, about.golden, victim.next.dimension)
        try:
            golden.check_distances(part)
        except FormatError as error:
            yield str(error)
        point = part.effort_for(0.99)
        recall = float(np.mean(golden.recalls(part, point)))
        if recall < (point.sure_recall - 1e-3 if point else 0.999):
            yield f"expected to pass its golden queries, got a recall of {recall:.3f}"

    def _put_back(self, attempts: list[Attempt], accepted: list[Victim]) -> None:
        """Every index serves its good generation, and nothing of the mutations is left anywhere."""
        self._rounds += 1
        for attempt in attempts:
            victim = attempt.victim
            self._store.delete(manifest_key(victim.index, victim.next.number, attempt.sha256))
            for role, data in victim.files.items():
                if role != "manifest":
                    self._store.put(blob_key(digest(data)), data)
        for name in set(self._store.names("blobs")) - self._whole:
            self._store.delete(blob_key(name))
        # A replica keeps the files of what it served before: the way back is short. Two steps make
        # sure that the next mutation meets no whole file in its cache.
        for attempt in attempts:
            victim = attempt.victim
            good = victim.good_again if victim in accepted else victim.good.sha256
            _serve(self._store, victim, good, victim.good.manifest.number)
        self._server.refresh()
        for victim in accepted:
            _serve(self._store, victim, victim.good.sha256, victim.good.manifest.number)
        if accepted:
            self._server.refresh()


class Truth:
    """What a generation's files say, without any engine."""

    def __init__(self, generation: Generation) -> None:
        segments = generation.segments
        self._vectors = np.concatenate([part.vectors for part in segments.parts])
        rows = np.arange(segments.row_numbers)
        self._items = segments.items_of(rows)
        if segments.live_rows is not None:
            self._items = np.where(segments.live_rows, self._items, -1)
        live = np.unique(self._items[self._items >= 0]).tolist()
        self.ids = frozenset(segments.item_ids(live))
        self.an_id = next(each for each in sorted(self.ids) if 1 <= len(each.encode()) <= 128)

    def distances(self, query: np.ndarray, count: int) -> list[float]:
        """Of the nearest items, each by its nearest photo."""
        far = np.linalg.norm(self._vectors - query / np.linalg.norm(query), axis=1)
        nearest: dict[int, float] = {}
        for row in np.argsort(far):
            item = int(self._items[row])
            if item >= 0:
                nearest.setdefault(item, float(far[row]))
            if len(nearest) == count:
                break
        return list(nearest.values())


def _with_blob(manifest: Manifest, role: str, data: bytes) -> Manifest:
    """The manifest, with a file's new name and size in it."""
    blob = Blob(sha256=digest(data), bytes=len(data))
    if role == "dead" and manifest.dead:
        return replace(manifest, dead=replace(manifest.dead, blob=blob))
    *before, last = manifest.segments
    blobs = {**last.blobs, role.rpartition(" ")[2]: blob}
    return replace(manifest, segments=(*before, replace(last, blobs=blobs)))


def _print(tally: Tally) -> None:
    roles = sorted({role for role, _, _ in tally.became})
    outcomes = sorted({became for _, _, became in tally.became})
    for right, title in ((False, "damaged as they lie"), (True, "made right again")):
        table(
            f"what became of mutations, {title}",
            ("file", *outcomes),
            [(role, *(tally.became[role, right, each] for each in outcomes)) for role in roles],
        )
    table(
        "how they were damaged",
        ("file", "ways"),
        [
            (
                role,
                ", ".join(f"{way} {n}" for (r, way), n in sorted(tally.ways.items()) if r == role),
            )
            for role in sorted({role for role, _ in tally.ways})
        ],
    )


def _figures(tally: Tally) -> dict[str, Any]:
    halves: dict[str, Counter[str]] = {"as_it_lies": Counter(), "made_right": Counter()}
    for (_, right, became), count in tally.became.items():
        halves["made_right" if right else "as_it_lies"][became] += count
    return {
        "mutations": sum(tally.became.values()),
        **{name: dict(sorted(counts.items())) for name, counts in halves.items()},
        "calls_meanwhile": tally.calls["answered"],
        "calls_failed": tally.calls["failed"],
        "wrong": len(tally.wrong),
    }


if __name__ == "__main__":
    main()
