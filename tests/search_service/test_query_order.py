"""The whole order of a query against the same by the shortest way: plain Python over lists."""

import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lookalike.search.v1 import search_pb2 as pb
from lookalike.v1.embedding_pb2 import Embedding

from search_service.build import Source, add, build, publish, remove
from search_service.filters import allowed_items
from search_service.generation import Generation
from search_service.options import read_options
from search_service.query import read_target
from search_service.store import Store

SPACE = "a" * 64
ITEMS = 60
DAYS = [datetime(2026, 1, day, tzinfo=UTC) + timedelta(microseconds=day) for day in (1, 2, 3, 4)]
VALUES = {
    "colour": ["red", "blue", "green", "grün", "", "no item has it"],
    "price": [-(2**63), -1, 0, 1, 2, 3],
    "weight": [-0.0, 0.0, 0.5, 1.0, math.inf],
    "sale": [True, False],
    "added": DAYS,
    "tags": ["midi", "silk", "all", "none"],
}
MEMBERS = {
    "colour": "string_value",
    "price": "int64_value",
    "weight": "double_value",
    "sale": "bool_value",
    "added": "timestamp_value",
    "tags": "string_value",
}
TYPES = {
    "colour": pa.string(),
    "price": pa.int64(),
    "weight": pa.float64(),
    "sale": pa.bool_(),
    "added": pa.timestamp("us", tz="UTC"),
    "tags": pa.list_(pa.string()),
}


def some(generator, name):
    """A value of an attribute, or None; one of its values is asked for and never there."""
    if generator.random() < 0.2:
        return None
    known = VALUES[name][:-1]
    if name == "tags":
        return [tag for tag in known if generator.random() < 0.5]
    return known[generator.integers(len(known))]


def source(generator, directions):
    """Items of 1 to 6 photos over some directions: few of them make many that are equally far."""
    counts = generator.integers(1, 7, ITEMS)
    vectors = directions[generator.integers(0, len(directions), counts.sum())]
    columns = {
        name: pa.array([some(generator, name) for _ in counts], kind).take(
            pa.array(np.repeat(np.arange(ITEMS), counts))
        )
        for name, kind in TYPES.items()
    }
    items = np.repeat([f"i{i:03d}" for i in range(ITEMS)], counts)
    photos = [f"p{i:04d}" for i in generator.permutation(len(items))]
    table = pa.table({"photo_id": photos, "item_id": items, **columns})
    return Source(vectors.astype(np.float32), table, SPACE)


@dataclass(frozen=True, repr=False)
class Thing:
    """An item in plain Python."""

    item_id: str
    photos: list  # of (photo_id, vector)
    attributes: dict


@pytest.fixture(scope="module")
def indexes(made, quick, tmp_path_factory):
    """indexes(engine, spread, form): a generation, its things; hypothesis does not print them."""
    generator = np.random.default_rng(5)
    spreads = {"few": generator.normal(size=(6, 16)), "many": generator.normal(size=(5000, 16))}
    sources = {name: source(generator, directions) for name, directions in spreads.items()}
    built = {
        (engine, spread, "built"): with_things(made(each, quick(engine=engine, widths=(8, 0))))
        for engine in ("annoy", "exact")
        for spread, each in sources.items()
    }
    for engine in ("annoy", "exact"):
        options = quick(engine=engine, widths=(8, 0))
        store = Store(tmp_path_factory.mktemp("store"))
        changed = with_things(as_changed(sources["few"], options, store))
        assert changed[1] == built[engine, "few", "built"][1]
        built[engine, "few", "changed"] = changed
    return lambda *which: built[which]


def as_changed(whole, options, store):
    """The same items, but some were other ones at first, some came later, and others went."""
    things = pc.utf8_slice_codeunits(whole.photos.column("item_id"), 1).cast(pa.int64()).to_numpy()
    late, other = np.flatnonzero(things % 3 == 0), np.flatnonzero(things % 3 == 1)
    first = whole.photos.take(pa.array(np.flatnonzero(things % 3)))
    gone = pa.table({"item_id": ["h9", "i030b", "j"], "photo_id": ["h9", "i030b", "j"]})
    photos = pa.concat_tables([first, gone], promote_options="default")
    vectors = np.concatenate([whole.vectors[things % 3 != 0], whole.vectors[:3]])
    vectors[: len(first)][np.isin(np.flatnonzero(things % 3), other)] *= -1.0
    build(Source(vectors, photos, SPACE), store.root / "built", options)
    publish(store, "dresses", store.root / "built")
    later = np.sort(np.concatenate([late, other]))
    add(store, "dresses", Source(whole.vectors[later], whole.photos.take(pa.array(later)), SPACE))
    (removed,) = remove(store, "dresses", ["h9", "i030b", "j", "never there"])
    published = removed.published
    return Generation.open(published.manifest, published.sha256, store.root / "blobs")


def with_things(generation):
    segment = generation.segments
    return generation, sorted(
        [
            Thing(
                *segment.item_ids([item]),
                [
                    (*segment.photo_ids([r]), segment.vectors[[r]][0].tolist())
                    for r in segment.rows_of(item)
                ],
                dict(segment.attributes(item)),
            )
            for item in range(segment.item_numbers)
            if segment.dead is None or item >= len(segment.dead) or not segment.dead[item]
        ],
        key=lambda thing: thing.item_id,
    )


# Conditions are tuples here: ("equals", name, value), ("is_in", name, values),
# ("range", name, {bound: value}), ("missing", name), ("all_of", [conditions]), ...


def is_true(condition, attributes):
    kind, first, *rest = condition
    if kind == "missing":
        return first not in attributes
    if kind in ("all_of", "any_of", "none_of"):
        truths = [is_true(each, attributes) for each in first]
        return {"all_of": all(truths), "any_of": any(truths), "none_of": not any(truths)}[kind]
    if first not in attributes:
        return False
    value = attributes[first]
    if kind == "range":
        return all(within(value, bound, limit) for bound, limit in rest[0].items())
    wanted = rest[0] if kind == "is_in" else [rest[0]]
    return any(each in wanted for each in value) if first == "tags" else value in wanted


def within(value, bound, limit):
    if isinstance(value, str):
        value, limit = value.encode(), limit.encode()
    return {
        "greater_than": value > limit,
        "at_least": value >= limit,
        "less_than": value < limit,
        "at_most": value <= limit,
    }[bound]


def as_proto(condition):
    kind, first, *rest = condition
    if kind in ("all_of", "any_of", "none_of"):
        inner = pb.FilterList(filters=[as_proto(each) for each in first])
        return pb.Filter(**{kind: inner})
    if kind == "missing":
        return pb.Filter(missing=pb.Missing(attribute=first))
    if kind == "equals":
        return pb.Filter(equals=pb.Equals(attribute=first, value=as_value(first, rest[0])))
    if kind == "is_in":
        values = [as_value(first, value) for value in rest[0]]
        return pb.Filter(is_in=pb.In(attribute=first, values=values))
    bounds = {bound: as_value(first, value) for bound, value in rest[0].items()}
    return pb.Filter(range=pb.Range(attribute=first, **bounds))


def as_value(name, value):
    if isinstance(value, datetime):
        stamp = Timestamp()
        stamp.FromDatetime(value)
        value = stamp
    return pb.Value(**{MEMBERS[name]: value})


def leaves():
    def of(name):
        value = st.sampled_from(VALUES[name])
        kinds = [
            st.tuples(st.just("equals"), st.just(name), value),
            st.tuples(st.just("is_in"), st.just(name), st.lists(value, min_size=1, max_size=4)),
            st.tuples(st.just("missing"), st.just(name)),
        ]
        if name not in ("sale", "tags"):
            bounds = st.one_of(
                st.fixed_dictionaries({side: value})
                for side in ("greater_than", "at_least", "less_than", "at_most")
            )
            both = st.fixed_dictionaries({"at_least": value, "less_than": value})
            kinds.append(st.tuples(st.just("range"), st.just(name), bounds | both))
        return st.one_of(kinds)

    return st.sampled_from(sorted(VALUES)).flatmap(of)


conditions = st.recursive(
    leaves(),
    lambda inner: st.tuples(
        st.sampled_from(["all_of", "any_of", "none_of"]), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(asked=st.lists(conditions, min_size=1, max_size=3))
def test_conditions_are_true_of_the_items_of_which_they_are_true(indexes, asked):
    generation, things = indexes("exact", "few", "built")

    allowed = allowed_items(generation.segments, generation.manifest, [as_proto(c) for c in asked])

    assert allowed.tolist() == [
        all(is_true(c, thing.attributes) for c in asked) for thing in things
    ]


@given(condition=conditions)
@settings(max_examples=30, deadline=None)
def test_a_condition_and_its_negation_share_all_items_out(indexes, condition):
    generation, _ = indexes("exact", "few", "built")
    sides = (as_proto(condition), as_proto(("none_of", [condition])))

    one, other = (allowed_items(generation.segments, generation.manifest, [each]) for each in sides)

    assert (one ^ other).all()


@dataclass(frozen=True)
class Asked:
    """A query and its options in plain Python."""

    target: tuple  # ("row", number, noise), ("item", number), ("examples", likes, unlikes)
    k: int
    photos: int
    conditions: list
    excluded: list  # item numbers
    minimum: float
    cap: tuple | None  # (attribute, count)
    collapse: float
    diversity: float

    def options(self, accuracy):
        return pb.SearchOptions(
            k=self.k,
            photos_per_item=self.photos,
            filters=[as_proto(condition) for condition in self.conditions],
            exclude_item_ids=[f"i{number:03d}" for number in self.excluded] + ["unknown"],
            minimum_similarity=self.minimum,
            max_per_value=self.cap and pb.MaxPerValue(attribute=self.cap[0], count=self.cap[1]),
            collapse_similarity=self.collapse,
            diversity=self.diversity,
            accuracy=accuracy,
        )


numbers = st.integers(0, ITEMS - 1)
examples = st.tuples(st.sampled_from(["row", "item"]), numbers)
asking = st.builds(
    Asked,
    target=st.one_of(
        st.tuples(st.just("row"), numbers, st.sampled_from([0.0, 0.3, 3.0])),
        st.tuples(st.just("item"), numbers),
        st.tuples(
            st.just("examples"),
            st.lists(examples, min_size=1, max_size=4),
            st.lists(examples, max_size=3),
        ),
    ),
    k=st.sampled_from([1, 2, 5, 10, 30, 60, 61, 1000]),
    photos=st.sampled_from([1, 1, 3]),
    conditions=st.lists(conditions, max_size=1),
    excluded=st.lists(numbers, max_size=6),
    minimum=st.sampled_from([0.0, 0.0, 0.1, 0.3, 0.6, 1.0]),
    cap=st.none() | st.tuples(st.sampled_from(sorted(set(VALUES) - {"tags"})), st.integers(1, 3)),
    collapse=st.sampled_from([0.0, 0.0, 0.2, 0.5, 0.9, 1.0]),
    diversity=st.sampled_from([0.0, 0.0, 0.1, 0.5, 0.9, 1.0]),
)


def unit(vector):
    length = math.hypot(*vector)
    return [value / length for value in vector]


def mean(vectors):
    return [sum(values) / len(vectors) for values in zip(*vectors, strict=True)]


def cosine(left, right):
    return sum(a * b for a, b in zip(left, right, strict=True))


def meaning(asked, generation, things):
    """The proto, the vectors to be near to, and the ids left out."""
    kind, *rest = asked.target
    if kind == "item":
        thing = things[rest[0]]
        query = pb.Query(item_id=thing.item_id)
        return query, [vector for _, vector in thing.photos], {thing.item_id}
    if kind == "row":
        vector = np.array(generation.segments.vectors[[rest[0]]][0], np.float64)
        vector += rest[1] * np.random.default_rng(rest[0]).normal(size=16)
        values = vector.astype("<f4")
        query = pb.Query(embedding=Embedding(values=values.tobytes(), space_id=SPACE))
        return query, [unit(values.tolist())], set()
    likes, unlikes = ([example(each, generation, things) for each in side] for side in rest)
    vector = mean([vector for _, vector, _ in likes])
    if unlikes:
        away = mean([vector for _, vector, _ in unlikes])
        vector = [value - other / 2 for value, other in zip(vector, away, strict=True)]
    assume(math.hypot(*vector) > 0.01)
    query = pb.Query(
        examples=pb.Examples(positive=[p for p, _, _ in likes], negative=[p for p, _, _ in unlikes])
    )
    return query, [unit(vector)], {item_id for _, _, item_id in likes + unlikes}


def example(drawn, generation, things):
    kind, number = drawn
    if kind == "item":
        thing = things[number]
        vector = mean([vector for _, vector in thing.photos])
        assume(math.hypot(*vector) > 0.01)
        return pb.Example(item_id=thing.item_id), unit(vector), thing.item_id
    values = generation.segments.vectors[[number]][0].astype("<f4")
    embedding = Embedding(values=(3 * values).tobytes(), space_id=SPACE)
    return pb.Example(embedding=embedding), unit(values.tolist()), ""


def similarity(distance):
    return max(0.0, 1 - distance**2 / 2)


def clear(values, limit):
    """None so near the limit that float32 might see it on the other side."""
    return not any(1e-6 < abs(value - limit) < 1e-4 for value in values)


def in_clear_order(photos):
    """Whether float32 sees the distances in this order: equal ones are those of equal vectors."""
    ordered = sorted(photos, key=lambda photo: photo[0])
    return all(
        far - near > 1e-4 or far == near == 0.0 or vector == other
        for (near, _, vector), (far, _, other) in pairwise(ordered)
    )


def pool(asked, queries, left_out, things):
    """(distance, thing, vector) of all that may be hits, the nearest first, by the contract."""
    left_out = left_out | {f"i{number:03d}" for number in asked.excluded}
    near, everything = [], []
    for thing in things:
        photos = [(min(math.dist(v, q) for q in queries), p, v) for p, v in thing.photos]
        if thing.item_id not in left_out and all(
            is_true(condition, thing.attributes) for condition in asked.conditions
        ):
            near.append((*min(photos), thing))
            everything += photos
    assume(in_clear_order(everything))
    assume(clear([similarity(distance) for distance, *_ in near], asked.minimum))
    # Float32 takes what is this near for equal, and then the id decides.
    near.sort(key=lambda each: (round(each[0], 5), each[3].item_id))
    taken, held = [], Counter()
    for distance, _, vector, thing in near:
        value = thing.attributes.get(asked.cap[0]) if asked.cap else None
        alike = [cosine(vector, other) for _, other, _ in taken]
        assume(not asked.collapse or clear(alike, asked.collapse))
        if similarity(distance) < asked.minimum - 1e-6:
            continue
        if value is not None and held[value] == asked.cap[1]:
            continue
        if asked.collapse and any(other >= asked.collapse - 1e-6 for other in alike):
            continue
        taken.append((distance, vector, thing))
        held[value] += 1
    return taken


def check_hits(hits, wanted, asked, queries):
    if not asked.diversity:
        expected = [(thing.item_id, distance) for distance, _, thing in wanted[: asked.k]]
        assert [hit.item_id for hit in hits] == [item_id for item_id, _ in expected]
    else:
        check_diversity(hits, wanted[: min(4 * asked.k, 1000)], asked)
    things = {thing.item_id: (distance, thing) for distance, _, thing in wanted}
    for hit in hits:
        distance, thing = things[hit.item_id]
        assert hit.photos[0].distance == pytest.approx(distance, abs=1e-4)
        assert len(hit.photos) == min(asked.photos, len(thing.photos))
        far = {p: min(math.dist(v, q) for q in queries) for p, v in thing.photos}
        for photo, best in zip(hit.photos, sorted(far.values()), strict=False):
            assert far[photo.photo_id] == pytest.approx(best, abs=1e-4)


def check_diversity(hits, among, asked):
    """Each hit is as good a choice, given those before it, as any other would have been."""
    free = {thing.item_id: (similarity(distance), vector) for distance, vector, thing in among}
    chosen = []
    assert len(hits) == min(asked.k, len(free))
    for hit in hits:
        scores = {
            item_id: (1 - asked.diversity) * near
            - asked.diversity * max([0.0, *(cosine(vector, other) for other in chosen)])
            for item_id, (near, vector) in free.items()
        }
        assert scores[hit.item_id] >= max(scores.values()) - 1e-5
        chosen.append(free.pop(hit.item_id)[1])


def answer_of(generation, query, options):
    target, read = read_target(query, "query"), read_options(options, 1)
    (answer,) = generation.nearest([target], read).answers
    return answer


forms = st.sampled_from([("few", "built"), ("many", "built"), ("few", "changed")])
which = st.builds(lambda engine, form: (engine, *form), st.sampled_from(["annoy", "exact"]), forms)


@settings(max_examples=150, deadline=None)
@given(which=which, asked=asking)
def test_exact_answers_are_those_of_the_contract(indexes, which, asked):
    generation, things = indexes(*which)
    query, queries, left_out = meaning(asked, generation, things)
    wanted = pool(asked, queries, left_out, things)

    answer = answer_of(generation, query, asked.options(pb.ACCURACY_EXACT))

    assert len(answer.hits) == min(asked.k, len(wanted))
    assert answer.fewer_exist == (len(wanted) < asked.k)
    check_hits(answer.hits, wanted, asked, queries)


@settings(max_examples=80, deadline=None)
@given(form=forms, asked=asking)
def test_a_forest_returns_k_whenever_k_exist_and_nothing_forbidden(indexes, form, asked):
    generation, things = indexes("annoy", *form)
    query, queries, left_out = meaning(asked, generation, things)
    wanted = pool(asked, queries, left_out, things)

    answer = answer_of(generation, query, asked.options(pb.ACCURACY_RECALL_90))

    assert len(answer.hits) >= min(asked.k, len(wanted))
    if answer.fewer_exist:  # proved by comparing all
        check_hits(answer.hits, wanted, asked, queries)
    by_id = {thing.item_id: thing for thing in things}
    found = [by_id[hit.item_id] for hit in answer.hits]
    assert len({thing.item_id for thing in found}) == len(found) <= asked.k
    assert not left_out & {thing.item_id for thing in found}
    assert all(is_true(c, thing.attributes) for c in asked.conditions for thing in found)
    assert all(hit.photos[0].similarity >= asked.minimum - 1e-6 for hit in answer.hits)
    if asked.cap:
        values = [thing.attributes.get(asked.cap[0]) for thing in found]
        assert max(Counter(v for v in values if v is not None).values(), default=0) <= asked.cap[1]
