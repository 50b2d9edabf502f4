"""One immutable generation; nearest() is the order of a query.

filter -> candidates from the engine -> exact comparison on the mapped vectors -> photos to items ->
exclusions, minimum similarity -> copies and cap an attribute's value -> diversity -> k. One loop
widens until k items are found and ends in exact, so that k come back whenever k exist.
"""

import math
from collections.abc import Iterable, Sequence
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
from search_service.ranking import Ranking, distances, rank, similarities
from search_service.rules import Rules, read_rules
from search_service.segment import MappedSegment, read_dead
from search_service.segments import Segments


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
        answers, at = [], 0
        for probe in probes:
            own = found[at : at + len(probe.vectors)]
            at += len(probe.vectors)
            answers.append(self._answer(probe, own, plan, rules, stages))
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
        found = [self._looked(query, plan) for query in queries]
        if plan.allowed is None:
            return found
        return [rows[plan.allowed[rows]] for rows in found]

    def _looked(self, query: Vectors, plan: Plan) -> Rows:
        calls.check_caller()
        return self.segments.candidates(query, plan.looks)

    def _answer(
        self, probe: Probe, found: list[Rows], plan: Plan, rules: Rules, stages: Stages
    ) -> Answer:
        known: list[Rows] = []
        while True:
            begun = perf_counter_ns()
            ranking = self._ranking(probe, known + found, rules)
            taken = self._taken(ranking, rules)
            settled = self._settled(probe, found, plan)
            done = _is_done(taken, settled, plan, rules)
            stages.rerank += perf_counter_ns() - begun
            if done:
                break
            begun = perf_counter_ns()
            plan = self._next(plan, taken, settled, rules)
            found, known = self._candidates(probe.vectors, plan), [ranking.rows]
            stages.candidates += perf_counter_ns() - begun
        begun = perf_counter_ns()
        hits = self._hits(self._chosen(taken, rules.options), probe.vectors, rules.options)
        stages.rerank += perf_counter_ns() - begun
        fewer_exist = len(hits) < rules.options.k
        return Answer(hits, fewer_exist, plan.lowered, compared_all=plan.is_exact)

    def _ranking(self, probe: Probe, found: list[Rows], rules: Rules) -> Ranking:
        """What was found, by item, less what may not be a hit whatever else is."""
        rows = np.sort(found[0]) if len(found) == 1 else np.unique(np.concatenate(found))
        ranking = rank(self.segments, self.segments.by_id(rows), probe.vectors)
        if len(probe.left_out):
            ranking = ranking.without(probe.left_out)
        if rules.options.minimum_similarity:
            ranking = ranking.similar_enough(rules.options.minimum_similarity)
        return ranking

    def _taken(self, ranking: Ranking, rules: Rules) -> Ranking:
        if not rules.chooses:
            return ranking.at(slice(rules.wanted))
        options, copies = rules.options, None
        if options.collapse_similarity:
            copies = Copies(self.segments.vectors, ranking.rows, options.collapse_similarity)
        most = options.max_per_value.count if options.max_per_value else 0
        values = rules.values_of(ranking)
        return ranking.at(choose.take(rules.wanted, values, most, copies))

    def _settled(self, probe: Probe, found: list[Rows], plan: Plan) -> float:
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
        places = zip(
            chosen.items.tolist(), chosen.rows.tolist(), chosen.distances.tolist(), strict=True
        )
        hits = [self._hit(item, (row, far), queries, options) for item, row, far in places]
        if options.photos_per_item > 1 and not options.diversity:
            # The engine may have missed a photo that is nearer than those it found of the item.
            ranks = self.segments.ranks(chosen.items).tolist()
            ranked = zip((hit.photos[0].distance for hit in hits), ranks, hits, strict=True)
            hits = [hit for _, _, hit in sorted(ranked, key=itemgetter(0, 1))]
        return tuple(hits)

    def _hit(self, item: int, photo: tuple[int, float], queries: Vectors, options: Options) -> Hit:
        nearest = [photo]
        if options.photos_per_item > 1:
            rows = np.asarray(self.segments.rows_of(item))
            far = distances(self.segments.vectors, rows, queries)
            order = np.argsort(far, kind="stable")[: options.photos_per_item]
            nearest = list(zip(rows[order].tolist(), far[order].tolist(), strict=True))
        return Hit(
            item_id=self.segments.item_id(item),
            photos=tuple(PhotoHit(self.segments.photo_id(row), far) for row, far in nearest),
            attributes=dict(self.segments.attributes(item)) if options.include_attributes else {},
        )


def _is_done(taken: Ranking, settled: float, plan: Plan, rules: Rules) -> bool:
    """Whether no row that was not looked at can belong to the answer, as far as is promised."""
    enough = len(taken) == rules.wanted
    if not plan.is_exact:
        return enough
    last = float(taken.distances[-1]) if enough else rules.reach
    return settled == math.inf or last < settled
