"""Every option through a real server: what it changes, and how what cannot be meant is refused."""

from copy import copy

import grpc
import msgspec
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from lookalike.search.v1 import search_pb2 as pb
from lookalike.v1.embedding_pb2 import Embedding

from search_service.catalog import Catalog
from search_service.generation import Generation
from search_service.manifest import EffortPoint
from search_service.segments import Segments

SPACE = "a" * 64
OTHER_SPACE = "b" * 64
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def generation(opened, forest_build):
    return opened(forest_build)


@pytest.fixture(scope="module")
def search(serving, generation):
    """`dresses`, and `doubtful`: the same, but never measured to reach a recall above 0.93."""
    catalog = Catalog()
    catalog.publish({"dresses": frozenset(), "doubtful": frozenset()})
    catalog.promote("dresses", (generation,))
    catalog.promote("doubtful", (doubtful(generation),))
    return serving(catalog)


def doubtful(generation):
    point = EffortPoint(effort=300, depth=50, recall=0.96, standard_error=0.01, micros=100.0)
    segment = msgspec.structs.replace(generation.manifest.base, efforts=(point,))
    manifest = msgspec.structs.replace(generation.manifest, index="doubtful", segments=(segment,))
    (part,) = generation.segments.parts
    doubted = copy(part)
    doubted.about, doubted.effort_for = segment, segment.effort_for
    return Generation(manifest, generation.sha256, Segments([doubted]))


def vector(values=None, space_id=SPACE):
    values = np.ones(32) if values is None else values
    return Embedding(values=np.asarray(values, "<f4").tobytes(), space_id=space_id)


def request(index="dresses", asked=None, **options):
    asked = asked or pb.Query(embedding=vector())
    return pb.SearchRequest(index=index, query=asked, options=pb.SearchOptions(**options))


def examples(*positive, negative=()):
    return pb.Query(examples=pb.Examples(positive=positive, negative=negative))


def example(item_id):
    return pb.Example(item_id=item_id)


def ids(answer):
    return [hit.item_id for hit in answer.hits]


def equals(attribute="price", **value):
    return pb.Filter(
        equals=pb.Equals(attribute=attribute, value=pb.Value(**value or {"int64_value": 1}))
    )


def within(attribute, **bounds):
    return pb.Filter(range=pb.Range(attribute=attribute, **bounds))


def is_in(attribute, *values):
    return pb.Filter(is_in=pb.In(attribute=attribute, values=values))


def nested(depth):
    condition = equals()
    for _ in range(depth - 1):
        condition = pb.Filter(none_of=pb.FilterList(filters=[condition]))
    return condition


def wide(count):
    return pb.Filter(any_of=pb.FilterList(filters=[equals()] * (count - 1)))


def test_excluded_items_make_room_for_the_next(search):
    first = search.stub.Search(request(k=20, accuracy=pb.ACCURACY_EXACT))
    seen = [*ids(first)[:10], "gone", ""]

    answer = search.stub.Search(request(exclude_item_ids=seen, accuracy=pb.ACCURACY_EXACT))

    assert ids(answer) == ids(first)[10:]


def test_every_item_may_be_excluded(search):
    everything = [f"item-{i:05d}" for i in range(400)]

    answer = search.stub.Search(request(exclude_item_ids=everything))

    assert (ids(answer), answer.shortfall) == ([], pb.SHORTFALL_FEWER_EXIST)


def test_a_hits_own_similarity_as_the_minimum_keeps_it_and_all_before(search):
    everything = search.stub.Search(request(k=400, accuracy=pb.ACCURACY_EXACT))
    least = everything.hits[30].photos[0].similarity

    answer = search.stub.Search(request(k=100, minimum_similarity=least))

    assert ids(answer) == ids(everything)[:31]
    assert answer.shortfall == pb.SHORTFALL_FEWER_EXIST
    enough = search.stub.Search(request(k=31, minimum_similarity=least))
    assert enough.shortfall == pb.SHORTFALL_UNSPECIFIED


@pytest.mark.parametrize(
    ("attribute", "count", "found"), [("category", 2, 3 * 2 + 40), ("sale", 3, 6), ("added", 1, 14)]
)
def test_a_cap_leaves_so_many_a_value_and_counts_no_missing_one(search, attribute, count, found):
    cap = pb.MaxPerValue(attribute=attribute, count=count)

    answer = search.stub.Search(request(k=400, max_per_value=cap))

    assert len(answer.hits) == found
    assert answer.shortfall == pb.SHORTFALL_FEWER_EXIST


def test_examples_are_left_out_and_the_unlike_ones_push_away(search):
    liked = search.stub.Search(request(k=400, asked=examples(example("item-00011"))))
    unlike = ids(liked)[0]
    pushed = search.stub.Search(
        request(k=400, asked=examples(example("item-00011"), negative=[example(unlike)]))
    )

    assert "item-00011" not in ids(liked)
    assert len(ids(liked)) == 399
    assert not {"item-00011", unlike} & set(ids(pushed))
    assert ids(pushed) != [item for item in ids(liked) if item != unlike]


def test_one_example_is_the_vector_it_is(search, generation):
    own = generation.segments.vectors[33]

    by_example = search.stub.Search(request(asked=examples(pb.Example(embedding=vector(own)))))
    by_vector = search.stub.Search(request(asked=pb.Query(embedding=vector(own))))

    assert ids(by_example) == ids(by_vector)


def test_copies_are_folded_and_diversity_spreads(search):
    exact = {"accuracy": pb.ACCURACY_EXACT}
    plain = search.stub.Search(request(k=40, **exact))
    folded = search.stub.Search(request(k=40, collapse_similarity=0.6, **exact))
    spread = search.stub.Search(request(k=10, diversity=0.5, **exact))

    assert len(folded.hits) == 40
    assert ids(folded) != ids(plain)
    assert ids(spread)[0] == ids(plain)[0]
    assert set(ids(spread)) <= set(ids(plain))
    assert ids(spread) != ids(plain)[:10]


def test_a_batch_has_its_options_a_query(search):
    queries = [pb.Query(item_id=f"item-{i:05d}") for i in range(20)]
    options = pb.SearchOptions(
        k=5, minimum_similarity=0.2, diversity=0.3, exclude_item_ids=["item-00020"]
    )

    batch = search.stub.SearchBatch(
        pb.SearchBatchRequest(index="dresses", queries=queries, options=options)
    )

    for query, answer in zip(queries, batch.answers, strict=True):
        alone = pb.SearchRequest(index="dresses", query=query, options=options)
        assert ids(answer) == ids(search.stub.Search(alone))


def test_less_than_the_accuracy_is_said_or_refused_as_asked(search):
    lowered = search.stub.Search(request("doubtful"))
    refusal = search.refused(search.stub.Search, request("doubtful", strict_recall=True))

    assert lowered.shortfall == pb.SHORTFALL_EFFORT_LOWERED
    assert len(lowered.hits) == 10
    assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.reason == "RECALL_NOT_REACHED"
    assert refusal.metadata == {"index": "doubtful", "recall": "0.99", "reached": "0.9300"}


@pytest.mark.parametrize(
    "options",
    [
        {"accuracy": pb.ACCURACY_RECALL_90},
        {"accuracy": pb.ACCURACY_EXACT},
        {"filters": [equals()]},
    ],
)
def test_a_strict_call_that_the_index_can_answer_is_answered(search, options):
    answer = search.stub.Search(request("doubtful", strict_recall=True, **options))

    assert answer.shortfall == pb.SHORTFALL_UNSPECIFIED


def test_what_ended_in_comparing_all_was_not_lowered(search):
    answer = search.stub.Search(request("doubtful", minimum_similarity=1.0))

    assert answer.shortfall == pb.SHORTFALL_FEWER_EXIST


@pytest.mark.parametrize("name", ["minimum_similarity", "collapse_similarity", "diversity"])
@pytest.mark.parametrize("value", [-0.001, 1.001, float("nan"), float("inf"), -1e30])
def test_a_share_lies_between_0_and_1(search, name, value):
    named(search, request(**{name: value}), f"options.{name}", f"options.{name}: expected 0 to 1")


@pytest.mark.parametrize(
    ("options", "field", "said"),
    [
        ({"exclude_item_ids": ["a"] * 1001}, "exclude_item_ids", "at most 1000, got 1001"),
        (
            {"max_per_value": pb.MaxPerValue(attribute="sale")},
            "max_per_value.count",
            "1 to 1000, got 0",
        ),
        (
            {"max_per_value": pb.MaxPerValue(attribute="sale", count=1001)},
            "max_per_value.count",
            "1 to 1000, got 1001",
        ),
        ({"filters": [within("price")]}, "filters[0].range", "a bound, got none"),
        (
            {"filters": [within("weight", at_most=pb.Value(double_value=float("nan")))]},
            "filters[0].range.at_most",
            "a number, got NaN",
        ),
        (
            {"filters": [within("added", at_least=pb.Value(timestamp_value=Timestamp(nanos=-1)))]},
            "filters[0].range.at_least",
            "a moment from year 1 to 9999",
        ),
        ({"filters": [is_in("price")]}, "filters[0].is_in.values", "1 to 256 values, got 0"),
        (
            {"filters": [is_in("price", *[pb.Value(int64_value=1)] * 257)]},
            "filters[0].is_in.values",
            "1 to 256 values, got 257",
        ),
        (
            {"filters": [equals(), pb.Filter(any_of=pb.FilterList())]},
            "filters[1].any_of.filters",
            "at least one condition, got none",
        ),
        (
            {"filters": [pb.Filter(all_of=pb.FilterList(filters=[equals(), pb.Filter()]))]},
            "filters[0].all_of.filters[1]",
            "a condition, got none",
        ),
        (
            {"filters": [nested(9)]},
            "filters[0]" + ".none_of.filters[0]" * 7 + ".none_of",
            "conditions at most 8 levels deep",
        ),
        (
            {"filters": [wide(33), wide(32)]},
            "filters[1].any_of.filters[30]",
            "at most 64 conditions in all",
        ),
    ],
)
def test_an_option_that_cannot_be_meant_is_named(search, options, field, said):
    named(search, request(**options), f"options.{field}", f"options.{field}: expected {said}")


@pytest.mark.parametrize("filters", [[nested(8)], [wide(33), wide(31)]])
def test_conditions_up_to_the_limits_are_answered(search, filters):
    assert search.stub.Search(request(filters=filters)).hits


@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        (examples(), "positive", "1 to 16 examples, got 0"),
        (examples(*[example("item-00001")] * 17), "positive", "1 to 16 examples, got 17"),
        (
            examples(example("item-00001"), negative=[example("item-00002")] * 17),
            "negative",
            "0 to 16 examples, got 17",
        ),
        (examples(pb.Example()), "positive[0]", "an embedding or an item_id, got neither"),
        (
            examples(example("item-00001"), negative=[example("")]),
            "negative[0].item_id",
            "an id, got nothing",
        ),
        (
            examples(*[pb.Example(embedding=vector(space_id=s)) for s in (SPACE, OTHER_SPACE)]),
            "",
            "embeddings of one space, got 2 spaces",
        ),
    ],
)
def test_examples_that_cannot_be_meant_are_named(search, asked, field, said):
    path = "query.examples" + (f".{field}" if field else "")
    named(search, request(asked=asked), path, f"{path}: expected {said}")


def test_examples_that_cancel_out_point_nowhere(search, generation):
    own = generation.segments.vectors[0]
    both = [pb.Example(embedding=vector(side * own)) for side in (1, -1)]

    refusal = search.refused(search.stub.Search, request(asked=examples(*both)))

    assert (refusal.code, refusal.reason) == (INVALID, "UNUSABLE_VECTOR")
    assert refusal.message.startswith("query.examples: expected vectors that do not cancel")


@pytest.mark.parametrize(
    ("asked", "reason", "said"),
    [
        (
            examples(example("item-00001"), example("gone")),
            "UNKNOWN_ITEM",
            "query.examples.positive[1].item_id: expected an item of dresses, got 'gone'",
        ),
        (
            examples(pb.Example(embedding=vector(np.ones(31)))),
            "WRONG_DIMENSION",
            "query.examples.positive[0].embedding.values: expected 128 bytes",
        ),
        (
            examples(pb.Example(embedding=vector(space_id="f" * 64))),
            "SPACE_NOT_SERVED",
            "embedding.space_id: expected a space that dresses serves",
        ),
    ],
)
def test_examples_that_are_not_there_are_named(search, asked, reason, said):
    refusal = search.refused(search.stub.Search, request(asked=asked))

    assert refusal.reason == reason
    assert refusal.message.startswith(said)


@pytest.mark.parametrize(
    ("options", "reason", "said"),
    [
        (
            {"max_per_value": pb.MaxPerValue(attribute="colour", count=1)},
            "UNKNOWN_ATTRIBUTE",
            "options.max_per_value.attribute: expected one of the attributes",
        ),
        (
            {"max_per_value": pb.MaxPerValue(attribute="tags", count=1)},
            "WRONG_ATTRIBUTE_TYPE",
            "options.max_per_value.attribute: expected an attribute of the types string, int64",
        ),
        (
            {"filters": [within("sale", at_least=pb.Value(bool_value=True))]},
            "WRONG_ATTRIBUTE_TYPE",
            "options.filters[0].range.attribute: expected an attribute of the types string, int64",
        ),
        (
            {"filters": [within("price", less_than=pb.Value(double_value=1))]},
            "WRONG_ATTRIBUTE_TYPE",
            "options.filters[0].range.less_than: expected int64_value",
        ),
        (
            {"filters": [is_in("price", pb.Value(int64_value=1), pb.Value())]},
            "WRONG_ATTRIBUTE_TYPE",
            "options.filters[0].is_in.values[1]: expected int64_value",
        ),
        (
            {"filters": [pb.Filter(missing=pb.Missing(attribute="colour"))]},
            "UNKNOWN_ATTRIBUTE",
            "options.filters[0].missing.attribute: expected one of the attributes",
        ),
    ],
)
def test_attributes_that_do_not_fit_are_named(search, options, reason, said):
    refusal = search.refused(search.stub.Search, request(**options))

    assert (refusal.code, refusal.reason) == (INVALID, reason)
    assert refusal.message.startswith(said)


def named(search, asked, field, said):
    refusal = search.refused(search.stub.Search, asked)

    assert (refusal.code, refusal.reason) == (INVALID, "INVALID_FIELD")
    assert refusal.fields == [field]
    assert refusal.message.startswith(said)
