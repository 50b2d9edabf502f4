"""One immutable generation; nearest() is the order of a query.

filter -> candidates from the engine -> exact comparison on the mapped vectors -> photos to items ->
k. One loop widens until k items are found and ends in exact, so that k come back whenever k exist.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter_ns

import numpy as np

from search_service.engines import Mask, Rows, Vectors
from search_service.engines.exact import ROUNDING, nearest_rows
from search_service.errors import UnknownItem
from search_service.filters import allowed_items
from search_service.manifest import EffortPoint, Manifest
from search_service.query import ByItem, Options, Target, read_vector
from search_service.segment import AttributeValue, MappedSegment, blob_paths

# Comparing this many rows takes as long as a forest search at a high recall (docs/decisions.md):
# a filter that leaves fewer is answered by comparing them all.
SCAN_ROWS = 20_000
# An item may have more photos than this; a search by it takes this many, evenly spaced.
MAX_PHOTOS_SEARCHED = 64


@dataclass(frozen=True)
class PhotoHit:
    photo_id: str
    distance: float  # Euclidean, between vectors of length 1

    @property
    def similarity(self) -> float:
        return max(0.0, 1.0 - self.distance * self.distance / 2.0)


@dataclass(frozen=True)
class Hit:
    item_id: str
    photos: tuple[PhotoHit, ...]  # the nearest first
    attributes: dict[str, AttributeValue]


@dataclass(frozen=True)
class Answer:
    """The hits of one query, the nearest first; `fewer_exist`: these are all there are."""

    hits: tuple[Hit, ...]
    fewer_exist: bool


@dataclass
class Stages:
    """Nanoseconds a call spent in each stage."""

    filter: int = 0
    candidates: int = 0
    rerank: int = 0


@dataclass(frozen=True)
class Answers:
    """One answer a query, who gave them, and where the time went."""

    answers: tuple[Answer, ...]
    generation: "Generation"
    engine: str
    effort: int
    stages: Stages = field(default_factory=Stages)


@dataclass(frozen=True)
class _Probe:
    """The vectors of one query [m, d], and the item that is left out of its answer."""

    vectors: Vectors
    left_out: int | None


@dataclass(frozen=True)
class _Plan:
    """How candidates are sought: by comparing all allowed rows, or by the engine at an effort."""

    allowed: Mask | None  # rows
    available: int  # how many rows are allowed
    search_k: int | None  # None: exact
    count: int  # candidates a query


class Generation:
    """Answers from one manifest's files. Safe for many threads at once."""

    def __init__(self, manifest: Manifest, sha256: str, segment: MappedSegment) -> None:
        self.manifest = manifest
        self.sha256 = sha256
        self.segment = segment

    @classmethod
    def open(cls, manifest: Manifest, sha256: str, folder: Path) -> "Generation":
        """Maps the manifest's blobs where the replica keeps them."""
        paths = blob_paths(manifest.segment.blobs, folder)
        return cls(manifest, sha256, MappedSegment(manifest.segment, manifest.dimension, paths))

    def nearest(self, targets: Sequence[Target], options: Options) -> Answers:
        """One answer a target. All of it comes from this generation."""
        stages = Stages()
        probes = [self._probe(target) for target in targets]
        plan = self._plan(options, stages)
        begun = perf_counter_ns()
        found = self._candidates(np.concatenate([probe.vectors for probe in probes]), plan)
        stages.candidates += perf_counter_ns() - begun
        answers, at = [], 0
        for probe in probes:
            own = found[at : at + len(probe.vectors)]
            at += len(probe.vectors)
            answers.append(self._answer(probe, own, plan, options, stages))
        return Answers(
            answers=tuple(answers),
            generation=self,
            engine="exact" if plan.search_k is None else self.manifest.segment.engine,
            effort=plan.search_k or 0,
            stages=stages,
        )

    def default_effort(self, recall: float = 0.99) -> EffortPoint:
        """The least effort that surely reached the recall at the build; else the most."""
        efforts = self.manifest.segment.efforts
        return next((point for point in efforts if point.sure_recall >= recall), efforts[-1])

    def _probe(self, target: Target) -> _Probe:
        if not isinstance(target, ByItem):
            return _Probe(read_vector(target, self.manifest.dimension)[None], None)
        item = self._item(target)
        rows = np.asarray(self.segment.rows_of(item))
        if len(rows) > MAX_PHOTOS_SEARCHED:
            rows = rows[np.linspace(0, len(rows) - 1, MAX_PHOTOS_SEARCHED).astype(int)]
        return _Probe(np.asarray(self.segment.vectors[rows]), item)

    def _item(self, target: ByItem) -> int:
        item = self.segment.find_item(target.item_id)
        if item is None:
            raise UnknownItem(
                f"{target.field}: expected an item of {self.manifest.index}, "
                f"got {target.item_id[:128]!r}",
                index=self.manifest.index,
                item_id=target.item_id[:128],
            )
        return item

    def _plan(self, options: Options, stages: Stages) -> _Plan:
        begun = perf_counter_ns()
        allowed, available = None, self.segment.photo_count
        if options.filters:
            items = allowed_items(self.segment, self.manifest, options.filters)
            photos = np.diff(self.segment.first_rows, append=self.segment.photo_count)
            allowed = np.repeat(items, photos)
            available = int(np.count_nonzero(allowed))
        stages.filter += perf_counter_ns() - begun
        # A filtered item's photos, and those of the item searched by, are among the nearest rows.
        rows_wanted = round((options.k + 1) * self.segment.photo_count / self.segment.item_count)
        scan = self.segment.engine is None or options.recall == 1.0
        if scan or (allowed is not None and available <= SCAN_ROWS):
            return _Plan(allowed, available, None, rows_wanted + 10)
        point = self.default_effort(options.recall)
        depth = max(point.depth, 2 * rows_wanted + point.depth // 2)
        # Neighbours further out need more of the forest, but less than in proportion: they stand
        # together. Those that a filter leaves are spread evenly over it.
        thinned = self.segment.photo_count / max(available, 1)
        search_k = point.effort * math.sqrt(depth / point.depth) * thinned
        return _Plan(allowed, available, round(search_k), round(depth * thinned))

    def _candidates(self, queries: Vectors, plan: _Plan) -> list[Rows]:
        engine = self.segment.engine
        if plan.search_k is None or engine is None:
            return nearest_rows(self.segment.vectors, queries, plan.count, plan.allowed)
        found = [engine.candidates(query, plan.count, plan.search_k) for query in queries]
        if plan.allowed is None:
            return found
        return [rows[plan.allowed[rows]] for rows in found]

    def _answer(
        self, probe: _Probe, found: list[Rows], plan: _Plan, options: Options, stages: Stages
    ) -> Answer:
        while True:
            begun = perf_counter_ns()
            rows = np.unique(np.concatenate(found))
            if probe.left_out is not None:
                own = self.segment.rows_of(probe.left_out)
                rows = rows[(rows < own.start) | (rows >= own.stop)]
            distances = self._distances(rows, probe.vectors)
            photos, items = self._best_photos(rows, distances)
            nearest = [far for _, far in photos[: options.k]]
            done = self._is_done(probe, found, plan, nearest, options.k)
            stages.rerank += perf_counter_ns() - begun
            if done:
                break
            plan = _wider(plan)
            begun = perf_counter_ns()
            found = self._candidates(probe.vectors, plan)
            stages.candidates += perf_counter_ns() - begun
        begun = perf_counter_ns()
        hits = self._hits(items[: options.k], photos[: options.k], probe.vectors, options)
        stages.rerank += perf_counter_ns() - begun
        return Answer(hits, fewer_exist=len(hits) < options.k)

    def _is_done(
        self, probe: _Probe, found: list[Rows], plan: _Plan, distances: list[float], k: int
    ) -> bool:
        """Whether no row that was not looked at can belong to the answer, as far as is promised."""
        if plan.search_k is not None:
            return len(distances) == k
        if plan.count >= plan.available:
            return True
        if len(distances) < k:
            return False
        # Each query's list ends somewhere. A row beyond all ends must not be as near as the last
        # hit: among many equals it may have the smaller id, and one item may fill a list.
        ends = [
            self._distances(rows, query[None]).max()
            for rows, query in zip(found, probe.vectors, strict=True)
        ]
        return bool(distances[-1] ** 2 + 4 * ROUNDING < min(ends) ** 2)

    def _distances(self, rows: Rows, queries: Vectors) -> Vectors:
        """The distance of each row to the nearest of the queries [m, d]."""
        vectors = self.segment.vectors[rows]
        # The difference rather than 2 - 2 cos: that loses the distances below 4e-4 to rounding.
        squares = np.full(len(rows), np.inf, np.float32)
        for query in queries:
            differences = vectors - query
            np.minimum(squares, np.einsum("ij,ij->i", differences, differences), out=squares)
        return np.sqrt(squares)

    def _best_photos(
        self, rows: Rows, distances: Vectors
    ) -> tuple[list[tuple[int, float]], list[int]]:
        """The nearest photo of each item, the nearest item first. Rows ascend, so ties go by id."""
        order = np.argsort(distances, kind="stable")
        items = self.segment.items_of(rows[order])
        first = np.sort(np.unique(items, return_index=True)[1])
        chosen = order[first]
        photos = list(zip(rows[chosen].tolist(), distances[chosen].tolist(), strict=True))
        return photos, items[first].tolist()

    def _hits(
        self,
        items: list[int],
        photos: list[tuple[int, float]],
        queries: Vectors,
        options: Options,
    ) -> tuple[Hit, ...]:
        hits = [
            (item, self._hit(item, photo, queries, options))
            for item, photo in zip(items, photos, strict=True)
        ]
        # The engine may have missed a photo that is nearer than those it found of the item.
        hits.sort(key=lambda each: (each[1].photos[0].distance, each[0]))
        return tuple(hit for _, hit in hits)

    def _hit(self, item: int, photo: tuple[int, float], queries: Vectors, options: Options) -> Hit:
        nearest = [photo]
        if options.photos_per_item > 1:
            rows = np.asarray(self.segment.rows_of(item))
            distances = self._distances(rows, queries)
            order = np.argsort(distances, kind="stable")[: options.photos_per_item]
            nearest = list(zip(rows[order].tolist(), distances[order].tolist(), strict=True))
        return Hit(
            item_id=self.segment.item_id(item),
            photos=tuple(PhotoHit(self.segment.photo_id(row), far) for row, far in nearest),
            attributes=dict(self.segment.attributes(item)) if options.include_attributes else {},
        )


def _wider(plan: _Plan) -> _Plan:
    """Four times as many candidates; by comparison once the engine would open a quarter of all."""
    count = min(4 * plan.count, plan.available)
    if plan.search_k is None or 4 * count >= plan.available:
        return _Plan(plan.allowed, plan.available, None, count)
    return _Plan(plan.allowed, plan.available, 4 * plan.search_k, count)
