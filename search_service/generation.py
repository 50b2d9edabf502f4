"""One immutable generation; nearest() is the order of a query.

filter -> candidates from the engine -> exact comparison on the mapped vectors -> photos to items ->
exclusions, minimum similarity -> copies and cap an attribute's value -> diversity -> k. One loop
widens until k items are found and ends in exact, so that k come back whenever k exist.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from time import perf_counter_ns

import numpy as np

from lookalike_kit import calls
from search_service import choose
from search_service.answer import Answer, Hit, PhotoHit, Stages
from search_service.choose import Copies
from search_service.engines import Rows, Vectors
from search_service.engines.exact import ROUNDING, nearest_rows
from search_service.filtered import Filtered
from search_service.filters import equals_any
from search_service.manifest import Manifest
from search_service.plan import Plan, first_plan
from search_service.probe import Probe, Prober
from search_service.query import Options, Target
from search_service.ranking import Ranking, distances, rank, rank_each, similarities
from search_service.rules import Rules, read_rules
from search_service.segment import MappedSegment, read_dead
from search_service.segments import AttributeValue, Segments

# Queries sought at once: between them a caller who is gone is noticed.
_LOOKED = 16
_NO_ATTRIBUTES: Mapping[str, AttributeValue] = {}


@dataclass(frozen=True)
class Answers:
    """One answer a query, who gave them, and where the time went."""

    answers: tuple[Answer, ...]
    generation: "Generation"
    engine: str
    effort: int
    stages: Stages = field(default_factory=Stages)


class Generation:
    """Answers from one manifest's files. Safe for many threads at once."""

    def __init__(self, manifest: Manifest, sha256: str, segments: Segments) -> None:
        self.manifest = manifest
        self.sha256 = sha256
        self.segments = segments
        self._filtered = Filtered(segments, manifest)

    @classmethod
    def open(
        cls,
        manifest: Manifest,
        sha256: str,
        folder: Path,
        known: Iterable[MappedSegment] = (),
    ) -> "Generation":
        """Maps the manifest's blobs where the replica keeps them, but what is known is shared."""
        parts = [
            next((part for part in known if part.about == segment), None)
            or MappedSegment(segment, manifest, folder)
            for segment in manifest.segments
        ]
        dead = None
        if manifest.dead:
            path = folder / manifest.dead.blob.sha256
            dead = read_dead(path, manifest.base.items)
        return cls(manifest, sha256, Segments(parts, dead))

    def nearest(self, targets: Sequence[Target], options: Options) -> Answers:
        """One answer a target. All of it comes from this generation."""
        stages = Stages()
        rules = read_rules(self.segments, self.manifest, options)
        prober = Prober(self.segments, self.manifest, rules.excluded)
        probes = [prober.probe(target) for target in targets]
        begun = perf_counter_ns()
        allowed = self._filtered.rows(options.filters) if options.filters else None
        stages.filter += perf_counter_ns() - begun
        plan = first_plan(self.manifest.index, self.segments, rules, allowed)
        begun = perf_counter_ns()
        found = self._candidates(np.concatenate([probe.vectors for probe in probes]), plan)
        stages.candidates += perf_counter_ns() - begun
        begun = perf_counter_ns()
        rankings = self._rankings(probes, found)
        stages.rerank += perf_counter_ns() - begun
        answers = (
            self._answer(probe, own, ranking, plan, rules, stages)
            for probe, own, ranking in zip(probes, _split(found, probes), rankings, strict=True)
        )
        return Answers(
            answers=tuple(answers),
            generation=self,
            engine="exact" if plan.is_exact else self.manifest.base.engine,
            effort=plan.looks[0].effort if plan.looks else 0,
            stages=stages,
        )

    def _candidates(self, queries: Vectors, plan: Plan) -> list[Rows]:
        if plan.is_exact:
            return nearest_rows(self.segments.vectors, queries, plan.count, plan.allowed)
        found: list[Rows] = []
        for at in range(0, len(queries), _LOOKED):
            calls.check_caller()
            found += self.segments.candidates(queries[at : at + _LOOKED], plan.looks)
        if plan.allowed is None:
            return found
        return [rows[plan.allowed[rows]] for rows in found]

    def _rankings(self, probes: Sequence[Probe], found: Sequence[Rows]) -> list[Ranking]:
        """What was found for each probe, by item."""
        if all(len(probe.vectors) == 1 for probe in probes):
            return rank_each(self.segments, found, np.concatenate([p.vectors for p in probes]))
        own = zip(probes, _split(found, probes), strict=True)
        return [self._ranking(probe, rows) for probe, rows in own]

    def _answer(
        self,
        probe: Probe,
        found: Sequence[Rows],
        ranking: Ranking,
        plan: Plan,
        rules: Rules,
        stages: Stages,
    ) -> Answer:
        while True:
            calls.check_caller()
            begun = perf_counter_ns()
            ranking = _permitted(ranking, probe, rules)
            taken = self._taken(ranking, rules)
            settled = self._settled(probe, found, plan)
            done = _is_done(taken, settled, plan, rules)
            stages.rerank += perf_counter_ns() - begun
            if done:
                break
            begun = perf_counter_ns()
            plan = self._next(plan, taken, settled, rules)
            found = self._candidates(probe.vectors, plan)
            stages.candidates += perf_counter_ns() - begun
            begun = perf_counter_ns()
            ranking = self._ranking(probe, [ranking.rows, *found])
            stages.rerank += perf_counter_ns() - begun
        begun = perf_counter_ns()
        hits = self._hits(self._chosen(taken, rules.options), probe.vectors, rules.options)
        stages.rerank += perf_counter_ns() - begun
        fewer_exist = len(hits) < rules.options.k
        return Answer(hits, fewer_exist, plan.lowered, compared_all=plan.is_exact)

    def _ranking(self, probe: Probe, found: Sequence[Rows]) -> Ranking:
        rows = np.unique(np.concatenate(found))
        return rank(self.segments, self.segments.by_id(rows), probe.vectors)

    def _taken(self, ranking: Ranking, rules: Rules) -> Ranking:
        if not rules.chooses:
            return ranking.at(slice(rules.wanted))
        options, copies = rules.options, None
        if options.collapse_similarity:
            copies = Copies(self.segments.vectors, ranking.rows, options.collapse_similarity)
        most = options.max_per_value.count if options.max_per_value else 0
        values = rules.values_of(ranking)
        return ranking.at(choose.take(rules.wanted, values, most, copies))

    def _settled(self, probe: Probe, found: Sequence[Rows], plan: Plan) -> float:
        """The distance within which every allowed row was looked at."""
        if not plan.is_exact:
            return 0.0
        if plan.count >= plan.available:
            return math.inf
        # Each query's list ends somewhere. A row beyond all ends must not be as near as the last
        # hit: among many equals it may have the smaller id, and one item may fill a list.
        ends = [
            float(distances(self.segments.vectors, rows, query[None]).max())
            for rows, query in zip(found, probe.vectors, strict=True)
        ]
        return math.sqrt(max(0.0, min(ends) ** 2 - 4 * ROUNDING))

    def _next(self, plan: Plan, taken: Ranking, settled: float, rules: Rules) -> Plan:
        """How to look further when too few were taken."""
        if not plan.is_exact:
            return plan.exact() if rules.refuses else plan.wider()
        if rules.values is not None and rules.options.max_per_value:
            # What was taken within the settled distance stays: values that are full by it are done.
            values = rules.values_of(taken.at(taken.distances < settled))
            full = choose.full_values(values, rules.options.max_per_value.count)
            plan = plan.without(self.segments.rows_of_items(equals_any(rules.values, full)))
        return plan.wider()

    def _chosen(self, taken: Ranking, options: Options) -> Ranking:
        if not options.diversity:
            return taken
        vectors = self.segments.vectors[taken.rows]
        near = similarities(taken.distances)
        return taken.at(choose.diverse(vectors, near, options.k, options.diversity))

    def _hits(self, chosen: Ranking, queries: Vectors, options: Options) -> tuple[Hit, ...]:
        items, rows, segments = chosen.items.tolist(), chosen.rows.tolist(), self.segments
        photos: list[tuple[PhotoHit, ...]]
        if options.photos_per_item > 1:
            photos = [self._nearest_photos(i, queries, options.photos_per_item) for i in items]
        else:
            pairs = zip(segments.photo_ids(rows), chosen.distances.tolist(), strict=True)
            photos = [(PhotoHit(photo_id, far),) for photo_id, far in pairs]
        attributes = [_NO_ATTRIBUTES] * len(items)
        if options.include_attributes:
            attributes = [dict(segments.attributes(item)) for item in items]
        hits = list(map(Hit, segments.item_ids(items), photos, attributes))
        if options.photos_per_item > 1 and not options.diversity:
            # The engine may have missed a photo that is nearer than those it found of the item.
            ranks = self.segments.ranks(chosen.items).tolist()
            ranked = zip((hit.photos[0].distance for hit in hits), ranks, hits, strict=True)
            hits = [hit for _, _, hit in sorted(ranked, key=itemgetter(0, 1))]
        return tuple(hits)

    def _nearest_photos(self, item: int, queries: Vectors, most: int) -> tuple[PhotoHit, ...]:
        rows = np.asarray(self.segments.rows_of(item))
        far = distances(self.segments.vectors, rows, queries)
        order = np.argsort(far, kind="stable")[:most]
        photo_ids = self.segments.photo_ids(rows[order].tolist())
        return tuple(map(PhotoHit, photo_ids, far[order].tolist()))


def _split(found: Sequence[Rows], probes: Sequence[Probe]) -> Iterator[Sequence[Rows]]:
    """What was found for each probe: one list of rows a vector."""
    at = 0
    for probe in probes:
        yield found[at : at + len(probe.vectors)]
        at += len(probe.vectors)


def _permitted(ranking: Ranking, probe: Probe, rules: Rules) -> Ranking:
    """Less what may not be a hit whatever else is."""
    if len(probe.left_out):
        ranking = ranking.without(probe.left_out)
    if rules.options.minimum_similarity:
        ranking = ranking.similar_enough(rules.options.minimum_similarity)
    return ranking


def _is_done(taken: Ranking, settled: float, plan: Plan, rules: Rules) -> bool:
    """Whether no row that was not looked at can belong to the answer, as far as is promised."""
    enough = len(taken) == rules.wanted
    if not plan.is_exact:
        return enough
    last = float(taken.distances[-1]) if enough else rules.reach
    return settled == math.inf or last < settled
