"""What a generation has to find of its own golden queries."""

from types import SimpleNamespace

import numpy as np
import pytest

from search_service.golden import GoldenQueries
from search_service.manifest import FormatError


@pytest.fixture
def part(opened, forest_build):
    [part] = opened(forest_build).segments.parts
    return part


@pytest.fixture
def golden(part, forest_build):
    return GoldenQueries.read(forest_build / "golden", part.about.golden, part.vectors.shape[1])


def with_engine(part, find):
    """The segment with another engine over it; find(queries): rows of each."""
    engine = SimpleNamespace(name="annoy", candidates=lambda queries, *_: find(queries))
    return SimpleNamespace(vectors=part.vectors, effort_for=part.effort_for, engine=engine)


def missing(golden, neighbours):
    """Finds all of the true neighbours but so many in all."""

    def find(queries):
        left = neighbours
        for true in golden.rows:
            kept = true[min(left, len(true)) :]
            left -= len(true) - len(kept)
            yield kept

    return lambda queries: list(find(queries))


def test_a_recall_of_three_standard_errors_below_the_measured_one_is_the_least(part, golden):
    point = part.effort_for(0.99)
    assert point.sure_recall == pytest.approx(point.recall - 3 * point.standard_error)
    asked = golden.rows.size
    may_miss = int(asked * (1 - point.sure_recall + 1e-3) + 1e-6)

    golden.check_recall(with_engine(part, missing(golden, may_miss)))
    with pytest.raises(FormatError, match="golden queries: expected a recall of at least"):
        golden.check_recall(with_engine(part, missing(golden, may_miss + 1)))


def test_a_forest_over_other_vectors_finds_too_little(part, golden):
    """Sound by its structure, and its rows are those of something else."""
    others = np.random.default_rng(0).permutation(len(part.vectors))
    point = part.effort_for(0.99)

    def find(queries):
        found = part.engine.candidates(queries, point.depth + golden.most_own, point.effort)
        return [others[rows] for rows in found]

    golden.check_distances(part)
    golden.check_recall(part)
    with pytest.raises(FormatError, match="golden queries: expected a recall of at least"):
        golden.check_recall(with_engine(part, find))
