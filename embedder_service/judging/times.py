"""How long the articles' ways take to find ten neighbours, on these very vectors."""

from __future__ import annotations

from time import perf_counter

from embedder_service.judging.contestants import Contestant
from embedder_service.judging.methods import Method, article_annoy, measured, one_by_one, scan
from embedder_service.judging.trial import Trial, sample

_NAIVE_QUERIES, _QUERIES = 5, 100


def article_times(trial: Trial, judged: Contestant, categories: int) -> tuple[Method, ...]:
    """Among the gallery: one cosine after the other, one product, and annoy as they used it."""
    gallery = judged.vectors[trial.gallery]
    queries = judged.vectors[sample(trial.queries, _QUERIES)]
    truth = [set(scan(gallery, query)) for query in queries]
    trees = max(2, categories)
    begun = perf_counter()
    annoy = article_annoy(gallery, trees)
    built = perf_counter() - begun
    return (
        measured(
            "cosine, one by one",
            lambda query: one_by_one(gallery, query),
            queries[:_NAIVE_QUERIES],
            truth,
        ),
        measured("cosine, one product", lambda query: scan(gallery, query), queries, truth),
        measured(f"the article's annoy, {trees} trees", annoy, queries, truth, built),
    )
