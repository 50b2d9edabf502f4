"""SearchService through a real server: what it answers, and how it refuses."""

import struct
from datetime import UTC, datetime

import grpc
import numpy as np
import pyarrow as pa
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from lookalike.search.v1 import search_pb2 as pb
from lookalike.v1.embedding_pb2 import Embedding

from search_service.build import Source
from search_service.catalog import Catalog
from search_service.options import MAX_HITS_WITH_ATTRIBUTES, MAX_PHOTO_HITS

SPACE = "a" * 64
OTHER_SPACE = "b" * 64
LIMIT = 4 << 20
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(scope="module")
def generation(opened, forest_build):
    return opened(forest_build)


@pytest.fixture(scope="module")
def search(serving, generation, opened, other_build):
    """Two spaces of `dresses`, one index that is published and not here, and many others."""
    catalog = Catalog()
    others = {f"index-{i:03d}-{'x' * 50}": frozenset() for i in range(300)}
    promised = frozenset({SPACE, OTHER_SPACE, "e" * 64})
    catalog.publish({"coming": frozenset(), "dresses": promised, **others})
    catalog.promote("dresses", (generation, opened(other_build)))
    return serving(catalog)


def embedding(values=None, space_id=SPACE, dimension=32):
    values = np.ones(dimension) if values is None else values
    return Embedding(values=np.asarray(values, "<f4").tobytes(), space_id=space_id)


def query(values=None, **kwargs):
    return pb.Query(embedding=embedding(values, **kwargs))


def request(index="dresses", asked=None, **options):
    return pb.SearchRequest(
        index=index, query=asked or query(), options=pb.SearchOptions(**options)
    )


def equals(attribute, **value):
    return pb.Filter(equals=pb.Equals(attribute=attribute, value=pb.Value(**value)))


def items_of(answer):
    return [hit.item_id for hit in answer.hits]


def test_a_search_says_hits_and_who_answered(search, generation):
    answer = search.stub.Search(request(asked=query(generation.segments.vectors[33]), k=5))

    assert len(answer.hits) == 5
    assert answer.hits[0].item_id == "item-00011"
    assert answer.hits[0].photos[0].photo_id == "item-00011/0"
    assert answer.hits[0].photos[0].similarity == pytest.approx(1.0)
    assert answer.hits[0].photos[0].distance == pytest.approx(0.0, abs=1e-3)
    assert (answer.answered.generation, answer.answered.space_id) == (1, SPACE)
    assert answer.answered.engine == "annoy"
    assert answer.answered.effort > 0
    assert answer.shortfall == pb.SHORTFALL_UNSPECIFIED
    assert answer.timings.candidates_micros > 0


def test_ten_items_and_one_photo_each_come_by_default(search):
    answer = search.stub.Search(request())

    assert [len(hit.photos) for hit in answer.hits] == [1] * 10
    assert all(not hit.attributes for hit in answer.hits)


def test_fewer_than_k_come_only_if_fewer_exist_and_it_says_so(search):
    answer = search.stub.Search(request(k=1000))

    assert len(answer.hits) == 400
    assert answer.shortfall == pb.SHORTFALL_FEWER_EXIST
    exactly = search.stub.Search(request(k=400))
    assert len(exactly.hits) == 400
    assert exactly.shortfall == pb.SHORTFALL_UNSPECIFIED


def test_an_item_is_answered_by_the_first_space_and_left_out(search):
    answer = search.stub.Search(request(asked=pb.Query(item_id="item-00011"), k=400))

    assert answer.answered.space_id == SPACE
    assert len(answer.hits) == 399
    assert "item-00011" not in items_of(answer)


def test_each_space_is_answered_by_its_own_generation(search):
    answer = search.stub.Search(request(asked=query(space_id=OTHER_SPACE, dimension=48), k=50))

    assert answer.answered.space_id == OTHER_SPACE
    assert len(answer.hits) == 30


@pytest.mark.parametrize(
    ("condition", "fulfils"),
    [
        (equals("category", string_value="kind 1"), lambda i: i % 10 != 9 and i % 3 == 1),
        (equals("price", int64_value=4), lambda i: i % 5 == 4),
        (equals("weight", double_value=0.5), lambda i: i % 4 == 1),
        (equals("sale", bool_value=False), lambda i: i % 2 == 1),
        (equals("tags", string_value="t2"), lambda i: i % 3 == 2 and i % 6 != 5),
        (equals("tags", string_value="all"), lambda i: i % 6 != 5),
        (
            equals("added", timestamp_value=Timestamp(seconds=1767312000, nanos=1000)),
            lambda i: i % 7 == 1 and i % 2 == 1,
        ),
        (equals("category", string_value="no such kind"), lambda i: False),
        (equals("price", int64_value=-(2**63)), lambda i: False),
        (equals("weight", double_value=float("nan")), lambda i: False),
    ],
)
def test_every_hit_fulfils_the_condition_and_none_that_does_is_missing(search, condition, fulfils):
    answer = search.stub.Search(request(k=1000, filters=[condition]))

    assert sorted(items_of(answer)) == [f"item-{i:05d}" for i in range(400) if fulfils(i)]


def test_conditions_hold_all_together(search):
    conditions = [equals("price", int64_value=4), equals("sale", bool_value=True)]
    answer = search.stub.Search(request(k=1000, filters=conditions))

    assert sorted(items_of(answer)) == [f"item-{i:05d}" for i in range(4, 400, 10)]


def test_attributes_come_with_their_types(search):
    asked = request(asked=query(), k=400, include_attributes=True, accuracy=pb.ACCURACY_EXACT)
    by_id = {hit.item_id: hit.attributes for hit in search.stub.Search(asked).hits}

    attributes = by_id["item-00001"]
    assert attributes["category"].string_value == "kind 1"
    assert attributes["price"].int64_value == 1
    assert attributes["weight"].double_value == 0.5
    assert attributes["sale"].WhichOneof("kind") == "bool_value"
    assert attributes["added"].timestamp_value.ToDatetime(UTC) == datetime(
        2026, 1, 2, 0, 0, 0, 1, tzinfo=UTC
    )
    assert list(attributes["tags"].strings_value.values) == ["t1", "all"]
    assert set(by_id["item-00359"]) == {"added", "price", "sale"}


def test_a_batch_answers_each_query_in_its_place(search, generation):
    rows = range(0, 1200, 60)
    queries = [query(generation.segments.vectors[row]) for row in rows]
    batch = pb.SearchBatchRequest(index="dresses", queries=queries)

    answer = search.stub.SearchBatch(batch)

    alone = [search.stub.Search(request(asked=each)) for each in queries]
    assert [items_of(each) for each in answer.answers] == [items_of(each) for each in alone]
    assert answer.answered.generation == 1


def test_items_are_looked_up_in_the_order_asked_for(search):
    asked = pb.GetItemsRequest(index="dresses", item_ids=["item-00007", "no", "", "item-00002"])

    answer = search.stub.GetItems(asked)

    assert [item.item_id for item in answer.items] == ["item-00007", "item-00002"]
    assert list(answer.items[0].photo_ids) == [f"item-00007/{i}" for i in range(3)]
    assert answer.items[0].photo_count == 3
    assert answer.items[0].attributes["price"].int64_value == 2
    assert answer.generation == 1


def test_indexes_are_listed_and_described(search):
    listed = search.stub.ListIndexes(pb.ListIndexesRequest()).indexes
    assert [(each.index, each.space_id) for each in listed] == [
        ("dresses", SPACE),
        ("dresses", OTHER_SPACE),
    ]

    served = search.stub.GetIndex(pb.GetIndexRequest(index="dresses")).served
    first = served[0]
    assert [each.space_id for each in served] == [SPACE, OTHER_SPACE]
    assert (first.dimension, first.item_count, first.photo_count) == (32, 400, 1200)
    assert first.engine == "annoy"
    assert {each.name: each.type for each in first.attributes} == {
        "added": pb.ATTRIBUTE_TYPE_TIMESTAMP,
        "category": pb.ATTRIBUTE_TYPE_STRING,
        "price": pb.ATTRIBUTE_TYPE_INT64,
        "sale": pb.ATTRIBUTE_TYPE_BOOL,
        "tags": pb.ATTRIBUTE_TYPE_STRINGS,
        "weight": pb.ATTRIBUTE_TYPE_DOUBLE,
    }
    assert first.efforts[-1].recall > 0.9
    assert len(first.same_item.shares) == len(first.same_item.similarities) == 9
    assert first.create_time.ToDatetime(UTC) <= datetime.now(UTC)


def refused(search, asked):
    call = {
        pb.SearchRequest: search.stub.Search,
        pb.SearchBatchRequest: search.stub.SearchBatch,
        pb.GetItemsRequest: search.stub.GetItems,
        pb.GetIndexRequest: search.stub.GetIndex,
    }[type(asked)]
    return search.refused(call, asked)


@pytest.mark.parametrize("got", [0, 1, 4 * 31, 4 * 32 - 1, 4 * 33, 4 * 2048])
def test_a_vector_of_the_wrong_length_is_the_callers_fault(search, got):
    bad = pb.Query(embedding=Embedding(values=bytes(got), space_id=SPACE))

    refusal = refused(search, request(asked=bad))

    assert (refusal.code, refusal.reason) == (INVALID, "WRONG_DIMENSION")
    assert refusal.fields == ["query.embedding.values"]
    assert refusal.message == (
        f"query.embedding.values: expected 128 bytes (32 float32), got {got} bytes"
    )
    assert refusal.metadata["expected"] == "32"


@pytest.mark.parametrize(
    ("value", "said"),
    [(np.nan, "NaN or infinity"), (np.inf, "NaN"), (-np.inf, "NaN"), (0, "zeros")],
)
def test_a_vector_that_points_nowhere_is_refused(search, value, said):
    vector = np.full(32, 0.0 if value == 0 else 1.0)
    vector[5] = value

    refusal = refused(search, request(asked=query(vector)))

    assert (refusal.code, refusal.reason) == (INVALID, "UNUSABLE_VECTOR")
    assert refusal.fields == ["query.embedding.values"]
    assert said in refusal.message


@pytest.mark.parametrize("scale", [3e38, 1e30, 1e-30, 1e-44])
def test_huge_and_tiny_vectors_are_answered_like_their_direction(search, generation, scale):
    direction = np.zeros(32, np.float32)
    direction[7] = 1.0

    answer = search.stub.Search(request(asked=query(direction * np.float32(scale))))

    assert items_of(answer) == items_of(search.stub.Search(request(asked=query(direction))))


@pytest.mark.parametrize(
    "space_id", ["", "a" * 63, "A" * 64, "../../../etc/passwd", "a" * 63 + "\n", "x" * 5000]
)
def test_a_missing_or_malformed_space_is_refused(search, space_id):
    refusal = refused(search, request(asked=query(space_id=space_id)))

    assert (refusal.code, refusal.reason) == (INVALID, "INVALID_FIELD")
    assert refusal.fields == ["query.embedding.space_id"]
    assert "64 hexadecimal digits" in refusal.message


def test_a_vector_of_another_space_is_refused_and_both_are_named(search):
    refusal = refused(search, request(asked=query(space_id="f" * 64)))

    assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.reason == "SPACE_NOT_SERVED"
    assert f"got {'f' * 64}" in refusal.message
    assert SPACE in refusal.message
    assert refusal.metadata == {
        "index": "dresses",
        "space_id": "f" * 64,
        "served": f"{SPACE}, {OTHER_SPACE}",
    }


def test_a_space_that_is_published_and_not_here_yet_is_worth_a_retry(search):
    refusal = refused(search, request(asked=query(space_id="e" * 64)))

    assert refusal.code is grpc.StatusCode.UNAVAILABLE
    assert refusal.reason == "INDEX_NOT_LOADED"


def test_an_unknown_index_is_not_found_and_a_few_known_ones_are_named(search):
    for asked in (
        request("shoes"),
        pb.SearchBatchRequest(index="shoes", queries=[query()]),
        pb.GetItemsRequest(index="shoes", item_ids=["a"]),
        pb.GetIndexRequest(index="shoes"),
    ):
        refusal = refused(search, asked)
        assert refusal.code is grpc.StatusCode.NOT_FOUND
        assert refusal.reason == "UNKNOWN_INDEX"
        assert "expected one of coming, dresses, index-000-" in refusal.message
        assert refusal.message.endswith("..., got shoes")
        assert refusal.metadata == {"index": "shoes"}


@pytest.mark.parametrize(
    "name",
    ["", "..", "../dresses", "a/b", "Dresses", "a b", "x" * 64, "é", "a\n", "\0", "x" * 9000],
)
def test_a_hostile_index_name_is_refused(search, name):
    refusal = refused(search, request(name))

    assert (refusal.code, refusal.reason) == (INVALID, "INVALID_FIELD")
    assert refusal.fields == ["index"]
    assert len(refusal.message) < 400


def test_an_index_that_is_not_here_yet_is_worth_a_retry(search):
    refusal = refused(search, request("coming"))

    assert refusal.code is grpc.StatusCode.UNAVAILABLE
    assert refusal.reason == "INDEX_NOT_LOADED"
    assert refusal.metadata == {"index": "coming"}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"k": 0}, "options.k"),
        ({"k": -1}, "options.k"),
        ({"k": 1001}, "options.k"),
        ({"k": 2**31 - 1}, "options.k"),
        ({"photos_per_item": 0}, "options.photos_per_item"),
        ({"photos_per_item": -5}, "options.photos_per_item"),
        ({"photos_per_item": 11}, "options.photos_per_item"),
        ({"accuracy": 99}, "options.accuracy"),
        ({"filters": [equals("sale", bool_value=True)] * 17}, "options.filters"),
        ({"filters": [equals("sale", bool_value=True), pb.Filter()]}, "options.filters[1]"),
        (
            {"filters": [equals("added", timestamp_value=Timestamp(seconds=10**15))]},
            "options.filters[0].equals.value",
        ),
        (
            {"filters": [equals("added", timestamp_value=Timestamp(seconds=1, nanos=-1))]},
            "options.filters[0].equals.value",
        ),
    ],
)
def test_an_option_out_of_range_is_named(search, options, field):
    refusal = refused(search, request(**options))

    assert (refusal.code, refusal.reason) == (INVALID, "INVALID_FIELD")
    assert refusal.fields == [field]
    assert refusal.message.startswith(f"{field}: expected")


def test_an_unknown_attribute_is_named_with_the_known_ones(search):
    bad = [equals("sale", bool_value=True), equals("colour" * 100, string_value="red")]

    refusal = refused(search, request(filters=bad))

    assert (refusal.code, refusal.reason) == (INVALID, "UNKNOWN_ATTRIBUTE")
    assert refusal.message.startswith("options.filters[1].equals.attribute: expected one of")
    assert refusal.metadata["known"] == "added, category, price, sale, tags, weight"
    assert refusal.metadata["attribute"] == ("colour" * 100)[:80]


@pytest.mark.parametrize(
    ("condition", "expected", "got"),
    [
        (equals("price", double_value=4), "int64_value", "double_value"),
        (equals("weight", int64_value=4), "double_value", "int64_value"),
        (equals("category", strings_value=pb.StringList(values=["a"])), "string_value", "strings"),
        (equals("tags", strings_value=pb.StringList(values=["a"])), "string_value", "strings"),
        (equals("added", string_value="2026-01-01"), "timestamp_value", "string_value"),
        (equals("sale", int64_value=1), "bool_value", "int64_value"),
        (equals("sale"), "bool_value", "no value"),
        (pb.Filter(equals=pb.Equals(attribute="sale")), "bool_value", "no value"),
    ],
)
def test_a_value_of_another_type_is_refused(search, condition, expected, got):
    refusal = refused(search, request(filters=[condition]))

    assert (refusal.code, refusal.reason) == (INVALID, "WRONG_ATTRIBUTE_TYPE")
    assert refusal.message.startswith(f"options.filters[0].equals.value: expected {expected}")
    assert refusal.metadata["expected"] == expected
    assert refusal.metadata["got"].startswith(got)


def test_an_unknown_item_is_not_found(search):
    refusal = refused(search, request(asked=pb.Query(item_id="ü" * 5000)))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_ITEM")
    assert refusal.message.startswith("query.item_id: expected an item of dresses, got 'ü")
    assert refusal.metadata == {"index": "dresses", "item_id": "ü" * 128}


def test_an_empty_item_id_is_no_id(search):
    refusal = refused(search, request(asked=pb.Query(item_id="")))

    assert (refusal.code, refusal.reason) == (INVALID, "INVALID_FIELD")
    assert refusal.fields == ["query.item_id"]


@pytest.mark.parametrize("asked", [pb.SearchRequest(), pb.SearchRequest(index="dresses")])
def test_an_empty_request_is_refused(search, asked):
    refusal = refused(search, asked)

    assert (refusal.code, refusal.reason) == (INVALID, "INVALID_FIELD")
    assert (
        refusal.message == "query: expected an embedding, an item_id or examples, got none of them"
    )


@pytest.mark.parametrize("count", [0, 257, 1000])
def test_a_batch_has_1_to_256_queries(search, count):
    batch = pb.SearchBatchRequest(index="dresses", queries=[query()] * count)

    refusal = refused(search, batch)

    assert (refusal.code, refusal.reason) == (INVALID, "INVALID_FIELD")
    assert refusal.message == f"queries: expected 1 to 256 queries, got {count}"


@pytest.mark.parametrize(
    ("odd", "got"),
    [
        (query(space_id=OTHER_SPACE, dimension=48), f"of space {OTHER_SPACE[:8]}"),
        (pb.Query(item_id="item-00001"), "of the index's first, as without a vector"),
    ],
)
def test_a_batch_of_two_kinds_is_refused(search, odd, got):
    batch = pb.SearchBatchRequest(index="dresses", queries=[query(), query(), odd])

    refusal = refused(search, batch)

    assert (refusal.code, refusal.reason) == (INVALID, "INVALID_FIELD")
    assert refusal.message == (
        f"queries: expected queries of one space, got queries[0] of space {SPACE[:8]}, "
        f"queries[2] {got}"
    )


@pytest.mark.parametrize(
    ("bad", "field", "reason"),
    [
        (pb.Query(), "queries[2]", "INVALID_FIELD"),
        (query(dimension=31), "queries[2].embedding.values", "WRONG_DIMENSION"),
        (query(np.zeros(32)), "queries[2].embedding.values", "UNUSABLE_VECTOR"),
        (query(space_id="x"), "queries[2].embedding.space_id", "INVALID_FIELD"),
    ],
)
def test_a_bad_query_of_a_batch_is_named_by_its_place(search, bad, field, reason):
    batch = pb.SearchBatchRequest(index="dresses", queries=[query(), query(), bad, query()])

    refusal = refused(search, batch)

    assert (refusal.code, refusal.reason, refusal.fields) == (INVALID, reason, [field])


def test_an_unknown_item_of_a_batch_is_named_by_its_place(search):
    queries = [pb.Query(item_id="item-00001"), pb.Query(item_id="no")]

    refusal = refused(search, pb.SearchBatchRequest(index="dresses", queries=queries))

    assert refusal.reason == "UNKNOWN_ITEM"
    assert refusal.message.startswith("queries[1].item_id: expected an item of dresses, got 'no'")


@pytest.mark.parametrize(
    ("count", "options", "field"),
    [
        (11, {"k": 1000}, "options.k"),
        (256, {"k": 40}, "options.k"),
        (2, {"k": 1000, "photos_per_item": 10}, "options.k"),
        (2, {"k": 1000, "include_attributes": True}, "options.include_attributes"),
    ],
)
def test_an_answer_that_could_be_too_large_is_refused_beforehand(search, count, options, field):
    batch = pb.SearchBatchRequest(
        index="dresses", queries=[query()] * count, options=pb.SearchOptions(**options)
    )

    refusal = refused(search, batch)

    assert (refusal.code, refusal.reason) == (INVALID, "ANSWER_TOO_LARGE")
    assert refusal.fields == [field]
    assert int(refusal.metadata["limit"]) in (MAX_PHOTO_HITS, MAX_HITS_WITH_ATTRIBUTES)


@pytest.mark.parametrize("count", [0, 101])
def test_1_to_100_items_are_looked_up_a_call(search, count):
    refusal = refused(search, pb.GetItemsRequest(index="dresses", item_ids=["a"] * count))

    assert (refusal.code, refusal.reason) == (INVALID, "INVALID_FIELD")
    assert refusal.fields == ["item_ids"]


def test_nothing_that_was_refused_left_a_fault(search):
    handled = "grpc_server_handled_total"
    for method in ("Search", "SearchBatch", "GetItems", "GetIndex", "ListIndexes"):
        labels = {
            "grpc_type": "unary",
            "grpc_service": "lookalike.search.v1.SearchService",
            "grpc_method": method,
        }
        for fault in ("Internal", "Unknown"):
            assert not search.registry.get_sample_value(handled, {**labels, "grpc_code": fault})


def test_queries_are_counted_by_engine(search):
    def count(engine):
        labels = {"index": "dresses", "engine": engine}
        return search.registry.get_sample_value("lookalike_search_queries_total", labels) or 0

    before = count("annoy"), count("exact")
    search.stub.SearchBatch(pb.SearchBatchRequest(index="dresses", queries=[query()] * 7))
    search.stub.Search(request(accuracy=pb.ACCURACY_EXACT))

    assert (count("annoy"), count("exact")) == (before[0] + 7, before[1] + 1)


@pytest.fixture(scope="module")
def fat(serving, made, quick):
    """The longest ids, the largest attributes and many photos an item that the build lets in."""
    items = [f"{i:04d}" + "i" * 124 for i in range(1100)]
    photos = [f"{i:05d}" + "p" * 187 for i in range(11_000)]
    moment = pa.array([datetime(1, 1, 2, tzinfo=UTC)] * 1100, pa.timestamp("us", tz="UTC"))
    columns = {
        "item_id": np.repeat(items, 10),
        "photo_id": photos,
        "n": pa.array([-(2**63)] * 11_000, pa.int64()),
        "moment": moment.take(pa.array(np.repeat(np.arange(1100), 10))),
        "text": ["t" * 700] * 11_000,
        "texts": [["l" * 16] * 8] * 11_000,
    }
    vectors = np.random.default_rng(0).normal(size=(11_000, 8)).astype(np.float32)
    catalog = Catalog()
    catalog.publish({"fat": frozenset()})
    source = Source(vectors, pa.table(columns), SPACE)
    catalog.promote("fat", (made(source, quick(engine="exact"), "fat"),))
    return serving(catalog)


def fat_query(i):
    return query(np.random.default_rng(i).normal(size=8), dimension=8)


@pytest.mark.parametrize(
    ("count", "options"),
    [
        (1, {"k": 1000, "photos_per_item": 10, "include_attributes": True}),
        (10, {"k": 1000}),
        (100, {"k": 10, "photos_per_item": 10}),
        (256, {"k": 39}),
        (256, {"k": 5, "photos_per_item": 7, "include_attributes": True}),
        (1, {"k": 1000, "include_attributes": True}),
        (15, {"k": 100, "photos_per_item": 6, "include_attributes": True}),
    ],
)
def test_the_largest_answers_stay_below_what_clients_receive(fat, count, options):
    asked = pb.SearchBatchRequest(
        index="fat",
        queries=[fat_query(i) for i in range(count)],
        options=pb.SearchOptions(**options),
    )

    answer = fat.stub.SearchBatch(asked)

    assert all(len(each.hits) == options["k"] for each in answer.answers)
    assert 1 << 20 < answer.ByteSize() < LIMIT


def test_the_largest_look_up_stays_below_what_clients_receive(fat):
    ids = [f"{i:04d}" + "i" * 124 for i in range(100)]

    answer = fat.stub.GetItems(pb.GetItemsRequest(index="fat", item_ids=ids))

    assert len(answer.items) == 100
    assert answer.ByteSize() < LIMIT / 4


def test_random_bytes_are_refused_or_answered_but_never_a_fault(search):
    generator = np.random.default_rng(0)
    for _ in range(200):
        values = struct.pack("<32I", *generator.integers(0, 2**32, 32, np.uint64).tolist())
        asked = request(asked=pb.Query(embedding=Embedding(values=values, space_id=SPACE)))
        try:
            outcome = len(search.stub.Search(asked).hits)
        except grpc.RpcError as error:
            outcome = error.code()
        assert outcome in (10, INVALID)
