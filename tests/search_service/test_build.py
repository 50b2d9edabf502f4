"""From a source to files that a replica accepts, whatever the size and the spread."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from search_service.build import BuildOptions, Source, SourceError, build
from search_service.build.build import DRAFT
from search_service.check import check
from search_service.golden import GoldenQueries
from search_service.manifest import Draft, decode
from search_service.query import ByVector, Options

SPACE = "a" * 64


def points(vectors):
    photos = pa.table({"photo_id": [f"p{i:05d}" for i in range(len(vectors))]})
    return Source(vectors.astype(np.float32), photos, SPACE)


def normal(count, dimension=32, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dimension))


def ask(generation, vector, k=10, recall=1.0):
    target = ByVector(vector.astype("<f4").tobytes(), SPACE, "query.embedding.values")
    options = Options(k=k, photos_per_item=1, filters=(), recall=recall, include_attributes=False)
    return generation.nearest([target], options)


def verified(generation):
    """Through the eyes of a replica: the structure, then the golden queries."""
    manifest, (part,) = generation.manifest, generation.segments.parts
    folder = Path(part.vectors.base.filename).parent
    check(manifest, folder)
    golden = GoldenQueries.read(
        folder / manifest.base.blobs["golden"].sha256, manifest.base.golden, manifest.dimension
    )
    golden.check_distances(part)
    return float(np.mean(golden.recalls(part, part.effort_for(0.99))))


@pytest.mark.parametrize("engine", ["auto", "fastest", "annoy", "graph", "exact"])
@pytest.mark.parametrize("count", [1, 2, 3, 12, 19, 20, 21, 34, 35, 40])
def test_a_catalogue_of_any_size_is_built_checked_and_found(made, quick, engine, count):
    vectors = normal(count)
    generation = made(points(vectors), quick(engine=engine, widths=(16, 0), golden_queries=10))

    planted = engine in ("annoy", "graph") and count >= 20
    assert generation.manifest.base.engine == (engine if planted else "exact")
    assert verified(generation) >= 0.99
    for row in (0, count - 1):
        answers = ask(generation, vectors[row], k=count + 3, recall=0.99)
        assert answers.answers[0].hits[0].item_id == f"p{row:05d}"
        assert len(answers.answers[0].hits) == count
        assert answers.answers[0].fewer_exist


@pytest.mark.parametrize("engine", ["annoy", "graph", "exact"])
def test_300_photos_that_are_all_the_same_come_in_the_order_of_their_ids(made, quick, engine):
    generation = made(points(np.ones((300, 32))), quick(engine=engine, widths=(16,)))

    assert verified(generation) == 1.0
    hits = ask(generation, np.ones(32), k=25).answers[0].hits
    assert [hit.item_id for hit in hits] == [f"p{i:05d}" for i in range(25)]
    assert len(ask(generation, np.ones(32), k=25, recall=0.99).answers[0].hits) == 25


def test_where_projections_reach_nothing_the_forest_keeps_all_dimensions(made, quick):
    options = quick(widths=(2, 4, 0), trees=20)

    generation = made(points(normal(900, 48)), options)

    assert generation.manifest.base.width == 0
    assert generation.manifest.base.efforts[-1].recall >= 0.99
    assert verified(generation) >= 0.98


def test_where_no_forest_reaches_the_target_the_nearest_to_it_is_taken(made, quick):
    options = quick(widths=(1, 2, 8), trees=5)

    generation = made(points(normal(2_000, 48)), options)

    assert generation.manifest.base.width == 8
    assert generation.manifest.base.efforts[-1].recall < 0.99
    assert len(ask(generation, np.ones(48), k=30, recall=0.99).answers[0].hits) == 30


def test_where_few_directions_hold_everything_the_forest_stands_on_them(made, quick):
    flat = normal(800, 6) @ normal(6, 64, seed=1)

    generation = made(points(flat), quick(widths=(16,), trees=20))

    assert generation.manifest.base.width == 16
    assert generation.manifest.base.efforts[-1].recall >= 0.99


def test_widths_beyond_the_dimension_or_the_count_are_passed_over(made, quick):
    generation = made(points(normal(50, 16)), quick(widths=(16, 32, 64, 0)))
    assert generation.manifest.base.width == 0

    with pytest.raises(SourceError, match=r"widths: expected one of 0 to 15, got \[16, 32\]"):
        made(points(normal(50, 16)), quick(widths=(16, 32)))


def test_the_article_has_all_dimensions_and_a_tree_a_class(made):
    options = BuildOptions.article(classes=7)
    generation = made(points(normal(400)), options)

    segment = generation.manifest.base
    assert (segment.engine, segment.width, segment.trees) == ("annoy", 0, 7)
    assert "projection" not in segment.blobs


def test_auto_scans_a_few_and_plants_a_forest_over_many(made, quick):
    for most, engine in ((100, "exact"), (99, "annoy")):
        options = quick(engine="auto", exact_up_to=most)
        assert made(points(normal(100)), options).manifest.base.engine == engine


def test_the_fastest_is_kept_and_the_others_leave_nothing(drawn, quick, tmp_path):
    options = quick(engine="fastest", exact_up_to=100, widths=(16,))

    draft = build(drawn(700), tmp_path / "out", options)

    assert {path.name for path in (tmp_path / "out").iterdir()} == {*draft.base.blobs, DRAFT}
    assert draft.base.engine in ("annoy", "graph")
    assert draft.base.efforts[-1].sure_recall >= 0.97


def test_a_graph_stands_on_the_narrowest_projection_that_leaves_room(made, quick):
    flat = normal(800, 6) @ normal(6, 64, seed=1)
    generation = made(points(flat), quick(engine="graph", graph_widths=(2, 16, 32)))
    assert generation.manifest.base.width == 16
    assert (generation.manifest.base.trees, generation.manifest.base.engine) == (0, "graph")

    everything = made(points(normal(900, 48)), quick(engine="graph", graph_widths=(2, 4, 0)))
    assert everything.manifest.base.width == 0
    assert verified(everything) >= 0.98


@pytest.mark.parametrize("engine", ["annoy", "graph"])
def test_one_thread_and_one_width_give_the_same_bytes_each_time(drawn, quick, tmp_path, engine):
    options = quick(engine=engine, widths=(16,), graph_widths=(16,), threads=1)
    one = build(drawn(100), tmp_path / "one", options)
    two = build(drawn(100), tmp_path / "two", options)

    assert one.base.blobs == two.base.blobs
    assert one.base.golden == two.base.golden
    assert (one.same_item, one.random_pair) == (two.same_item, two.random_pair)


def test_the_order_of_the_input_changes_nothing(drawn, quick, tmp_path):
    source = drawn(60)
    order = np.random.default_rng(1).permutation(len(source.vectors))
    shuffled = Source(source.vectors[order], source.photos.take(pa.array(order)), SPACE)
    options = quick(widths=(16,), threads=1)

    one = build(source, tmp_path / "one", options)
    two = build(shuffled, tmp_path / "two", options)

    assert one.base.blobs == two.base.blobs


def test_a_build_leaves_its_files_and_a_draft_that_names_them(forest_build):
    draft = decode((forest_build / DRAFT).read_bytes(), Draft, "draft")

    assert {path.name for path in forest_build.iterdir()} == {*draft.base.blobs, DRAFT}
    assert (draft.base.photos, draft.base.items) == (1200, 400)
    assert draft.base.golden.queries == 40
    assert set(draft.versions) == {"lookalike", "annoy", "usearch", "numpy", "pyarrow"}


def test_the_measured_curve_rises(forest_build):
    draft = decode((forest_build / DRAFT).read_bytes(), Draft, "draft")
    efforts = draft.base.efforts

    assert [point.effort for point in efforts] == sorted({point.effort for point in efforts})
    assert [point.recall for point in efforts] == sorted({point.recall for point in efforts})
    assert all(point.micros > 0 for point in efforts)


def test_photos_of_one_item_are_nearer_than_those_of_random_ones(forest_build):
    draft = decode((forest_build / DRAFT).read_bytes(), Draft, "draft")

    middle = draft.same_item.shares.index(0.5)
    assert draft.same_item.similarities[middle] > draft.random_pair.similarities[middle] + 0.2


def test_an_item_that_holds_nearly_every_photo_leaves_random_pairs_all_the_same(quick, tmp_path):
    ids = [f"p{i:05d}" for i in range(5_000)]
    photos = pa.table({"photo_id": ids, "item_id": ["a"] + ["b"] * 4_999})
    source = Source(normal(5_000, 4).astype(np.float32), photos, SPACE)

    draft = build(source, tmp_path / "out", quick(engine="exact"))

    assert draft.random_pair.similarities


def test_lone_photos_have_no_pairs_of_one_item(made, quick):
    generation = made(points(normal(30)), quick(engine="exact"))
    assert generation.manifest.same_item is None

    alone = made(points(normal(1)), quick(engine="exact"))
    assert alone.manifest.random_pair is None


def test_a_folder_that_exists_is_never_written_into(drawn, quick, tmp_path):
    (tmp_path / "out").mkdir()

    with pytest.raises(SourceError, match="expected a folder that does not exist yet"):
        build(drawn(3), tmp_path / "out", quick())


def test_a_build_that_fails_leaves_nothing(drawn, quick, tmp_path):
    with pytest.raises(SourceError):
        build(drawn(30), tmp_path / "out", quick(widths=(999,)))

    assert list(tmp_path.iterdir()) == []
