"""nearest() against comparing everything with everything."""

import gc
import weakref

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lookalike.search.v1 import search_pb2 as pb

from search_service.build import Source
from search_service.errors import UnknownItem
from search_service.query import ByItem, ByVector, Options

SPACE = "a" * 64
ITEMS = 60


def uneven(generator, directions):
    """Items of 1 to 9 photos over a few directions, so that many are equally far."""
    counts = generator.integers(1, 10, ITEMS)
    counts[7] = 40
    vectors = directions[generator.integers(0, len(directions), counts.sum())]
    items = np.repeat([f"i{i:03d}" for i in range(ITEMS)], counts)
    photos = [f"p{i:04d}" for i in generator.permutation(len(items))]
    colours = np.repeat(
        generator.choice(["red", "blue", "green"], ITEMS, p=[0.1, 0.4, 0.5]), counts
    )
    table = pa.table({"photo_id": photos, "item_id": items, "colour": colours})
    return Source(vectors.astype(np.float32), table, SPACE)


@pytest.fixture(scope="module")
def generations(made, quick):
    """By engine and spread."""
    generator = np.random.default_rng(3)
    sources = {
        "few": uneven(generator, generator.normal(size=(6, 16))),
        "many": uneven(generator, generator.normal(size=(5000, 16))),
    }
    return {
        (engine, spread): made(source, quick(engine=engine, widths=(8, 0)))
        for engine in ("annoy", "exact")
        for spread, source in sources.items()
    }


def options(k=10, photos=1, recall=0.99, attributes=False, **filters):
    conditions = [
        pb.Filter(equals=pb.Equals(attribute=name, value=pb.Value(string_value=value)))
        for name, value in filters.items()
    ]
    return Options(
        k=k,
        photos_per_item=photos,
        filters=tuple(conditions),
        recall=recall,
        include_attributes=attributes,
    )


def by_vector(vector):
    return ByVector(np.asarray(vector).astype("<f4").tobytes(), SPACE, "query.embedding.values")


def by_item(item_id):
    return ByItem(item_id, "query.item_id")


def expected(generation, queries, colour=None, left_out=None):
    """The same by the shortest way: every item, the nearest first, with its photos."""
    segment = generation.segments
    vectors = np.asarray(segment.vectors, np.float64)
    far = np.min([np.linalg.norm(vectors - query, axis=1) for query in queries], axis=0)
    found = []
    for item in range(segment.item_numbers):
        if item == left_out or colour not in (None, dict(segment.attributes(item))["colour"]):
            continue
        rows = segment.rows_of(item)
        photos = sorted(zip(far[rows].tolist(), segment.photo_ids(rows), strict=True))
        found.append((photos[0][0], *segment.item_ids([item]), photos))
    return sorted(found)


def same(answer, wanted, k, photos):
    """Equal, but that float32 may exchange what is not equally far and yet within 1e-6."""
    assert len(answer.hits) == min(k, len(wanted))
    assert answer.fewer_exist == (len(wanted) < k)
    items = [(hit.photos[0].distance, hit.item_id) for hit in answer.hits]
    in_order(items, [(far, item) for far, item, _ in wanted])
    of_item = {item: its for _, item, its in wanted}
    for hit in answer.hits:
        its = of_item[hit.item_id]
        assert len(hit.photos) == min(photos, len(its))
        in_order([(photo.distance, photo.photo_id) for photo in hit.photos], its)


def in_order(got, wanted):
    true = {name: far for far, name in wanted}
    for (reported, name), (far, other) in zip(got, wanted, strict=False):
        assert reported == pytest.approx(far, abs=2e-5)
        assert name == other or 0 < abs(true[name] - far) < 1e-6


asked = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
which = st.tuples(st.sampled_from(["annoy", "exact"]), st.sampled_from(["few", "many"]))


@asked
@given(
    which=which,
    row=st.integers(0, 200),
    noise=st.sampled_from([0.0, 0.3, 3.0]),
    k=st.sampled_from([1, 2, 3, 10, 59, 60, 61, 1000]),
    photos=st.sampled_from([1, 2, 10]),
    colour=st.sampled_from([None, "red", "blue", "none has it"]),
)
def test_exact_answers_to_a_vector_are_those_of_comparing_all(
    generations, which, row, noise, k, photos, colour
):
    generation = generations[which]
    vector = generation.segments.vectors[row] + noise * np.random.default_rng(row).normal(size=16)
    vector = (vector / np.linalg.norm(vector)).astype(np.float32)
    filters = {"colour": colour} if colour else {}

    asked = options(k, photos, recall=1.0, **filters)
    (answer,) = generation.nearest([by_vector(7 * vector)], asked).answers

    same(answer, expected(generation, [vector], colour), k, photos)


@asked
@given(
    which=which,
    item=st.integers(0, ITEMS - 1),
    k=st.sampled_from([1, 3, 10, 58, 59, 60]),
    photos=st.sampled_from([1, 3]),
    colour=st.sampled_from([None, "red"]),
)
def test_exact_answers_to_an_item_take_all_its_photos_and_leave_it_out(
    generations, which, item, k, photos, colour
):
    generation = generations[which]
    rows = np.asarray(generation.segments.rows_of(item))
    (item_id,) = generation.segments.item_ids([item])
    filters = {"colour": colour} if colour else {}

    asked = options(k, photos, recall=1.0, **filters)
    (answer,) = generation.nearest([by_item(item_id)], asked).answers

    queries = generation.segments.vectors[rows]
    same(answer, expected(generation, queries, colour, left_out=item), k, photos)


@asked
@given(
    which=which,
    rows=st.lists(st.integers(0, 200), min_size=1, max_size=70),
    k=st.sampled_from([1, 10, 60]),
    recall=st.sampled_from([0.9, 0.99, 1.0]),
)
def test_a_batch_answers_as_its_queries_would_alone(generations, which, rows, k, recall):
    generation = generations[which]
    queries = [by_vector(generation.segments.vectors[row]) for row in rows]
    asked = options(k, recall=recall)

    together = generation.nearest(queries, asked).answers

    for query, answer in zip(queries, together, strict=True):
        (alone,) = generation.nearest([query], asked).answers
        assert [hit.item_id for hit in answer.hits] == [hit.item_id for hit in alone.hits]


@asked
@given(which=which, row=st.integers(0, 200), recall=st.sampled_from([0.9, 0.95, 0.99]))
def test_k_come_back_whenever_k_exist_in_order_and_each_once(generations, which, row, recall):
    generation = generations[which]
    vector = generation.segments.vectors[row]
    for k in (1, 17, ITEMS, ITEMS + 1):
        (answer,) = generation.nearest([by_vector(vector)], options(k, 3, recall)).answers

        places = [(hit.photos[0].distance, hit.item_id) for hit in answer.hits]
        assert len(places) == min(k, ITEMS)
        assert len({hit.item_id for hit in answer.hits}) == len(places)
        assert places == sorted(places)
        assert answer.fewer_exist == (k > ITEMS)


def test_one_item_that_fills_the_list_of_candidates_hides_no_other(made, quick):
    """At the first photo of q stand 60 of a, then z; b and c stand further off, at its second."""
    axes = np.eye(8)
    near = axes[0] + 0.01 * np.random.default_rng(0).normal(size=(60, 8))
    vectors = np.concatenate(
        [[axes[0], axes[1]], near, [axes[0] + 0.3 * axes[2]], axes[[1, 1]] + 0.6 * axes[[3, 4]]]
    )
    rest = np.repeat(axes[5:8], 20, axis=0)
    items = ["q", "q", *["a"] * 60, "z", "b", "c", *[f"x{i}" for i in range(60)]]
    photos = pa.table({"photo_id": [f"p{i}" for i in range(len(items))], "item_id": items})
    source = Source(np.concatenate([vectors, rest]).astype(np.float32), photos, SPACE)
    generation = made(source, quick(engine="exact"))

    (answer,) = generation.nearest([by_item("q")], options(2)).answers

    assert [hit.item_id for hit in answer.hits] == ["a", "z"]


def test_an_annoy_generation_finds_what_its_curve_promises(opened, forest_build):
    generation = opened(forest_build)
    rows = np.random.default_rng(0).choice(1200, 60, replace=False)
    queries = [by_vector(generation.segments.vectors[row]) for row in rows]

    quick = generation.nearest(queries, options(10)).answers
    exact = generation.nearest(queries, options(10, recall=1.0)).answers

    pairs = zip(quick, exact, strict=True)
    found = [len({h.item_id for h in a.hits} & {h.item_id for h in b.hits}) for a, b in pairs]
    assert sum(found) >= 0.97 * 600


def test_who_answered_and_how_hard_is_said(opened, forest_build):
    generation = opened(forest_build)
    query = by_vector(generation.segments.vectors[0])

    quick = generation.nearest([query], options())
    assert (quick.engine, quick.effort > 0) == ("annoy", True)
    exact = generation.nearest([query], options(recall=1.0))
    assert (exact.engine, exact.effort) == ("exact", 0)
    filtered = generation.nearest([query], options(category="kind 1"))
    assert (filtered.engine, filtered.effort) == ("exact", 0)
    assert quick.stages.candidates > 0
    assert quick.stages.rerank > 0
    assert filtered.stages.filter > 0


def test_a_surer_answer_takes_no_less_effort(opened, forest_build):
    generation = opened(forest_build)
    query = by_vector(generation.segments.vectors[0])

    efforts = [generation.nearest([query], options(recall=r)).effort for r in (0.9, 0.95, 0.99)]

    assert efforts == sorted(efforts)


def test_similarity_and_distance_are_two_faces_of_the_cosine(opened, forest_build):
    generation = opened(forest_build)
    vector = generation.segments.vectors[0]

    (answer,) = generation.nearest([by_vector(vector)], options(400, recall=1.0)).answers

    assert answer.hits[0].photos[0].similarity == pytest.approx(1.0)
    for hit in answer.hits:
        photo = hit.photos[0]
        row = generation.segments.photo_ids(range(1200)).index(photo.photo_id)
        cosine = float(vector @ generation.segments.vectors[row])
        assert photo.similarity == pytest.approx(max(0.0, cosine), abs=1e-5)
        assert photo.distance == pytest.approx(np.sqrt(2 - 2 * cosine), abs=1e-3)


def test_attributes_come_if_asked_for_and_missing_ones_are_left_out(opened, forest_build):
    generation = opened(forest_build)
    vector = by_vector(generation.segments.vectors[0])

    (plain,) = generation.nearest([vector], options(400)).answers
    assert all(hit.attributes == {} for hit in plain.hits)
    (rich,) = generation.nearest([vector], options(400, attributes=True)).answers
    by_id = {hit.item_id: hit.attributes for hit in rich.hits}
    assert set(by_id["item-00000"]) == {"added", "category", "price", "sale", "tags", "weight"}
    assert set(by_id["item-00359"]) == {"added", "price", "sale"}
    assert by_id["item-00001"]["tags"] == ["t1", "all"]
    assert by_id["item-00001"]["added"].microsecond == 1


def test_an_item_that_is_not_there_is_named(opened, forest_build):
    with pytest.raises(UnknownItem, match=r"query.item_id: expected an item of dresses, got 'x'"):
        opened(forest_build).nearest([by_item("x")], options())


def test_every_item_is_found_by_its_id_whatever_its_letters(made, quick):
    ids = ["b", "a", "ä", "z", "Z", "€", "𝄞", "\uffff", "a\x00", "aa", "0"]
    vectors = np.eye(11, dtype=np.float32)
    photos = pa.table({"photo_id": ids})
    segments = made(Source(vectors, photos, SPACE), quick(engine="exact")).segments

    for item_id in ids:
        assert segments.item_ids([segments.find_item(item_id)]) == [item_id]
    for item_id in ("", "c", "\uffffx", "𝄞𝄞", "A"):
        assert segments.find_item(item_id) is None
    assert segments.find_items(["z", "gone", "a", "z"]).tolist() == sorted(
        segments.find_item(item_id) for item_id in ("a", "z")
    )


def test_few_items_among_many_are_found_as_many_are(made, quick):
    photos = pa.table({"photo_id": [f"p{i:05d}" for i in range(3000)]})
    vectors = np.random.default_rng(0).normal(size=(3000, 4)).astype(np.float32)
    segments = made(Source(vectors, photos, SPACE), quick(engine="exact")).segments

    for ids in (["p00007"], ["p02999", "x", "p00000"], [f"p{i:05d}" for i in (9, 5, 7, 5)], ["x"]):
        expected = sorted({int(item_id[1:]) for item_id in ids if item_id != "x"})
        assert segments.find_items(ids).tolist() == expected


def test_a_generation_nobody_uses_any_more_is_freed(opened, forest_build):
    generation = opened(forest_build)
    generation.nearest([by_vector(generation.segments.vectors[0])], options())
    gone = weakref.ref(generation)

    del generation
    gc.collect()

    assert gone() is None
