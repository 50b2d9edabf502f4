"""What a call's line in the log tells of a search."""

import json

import grpc
import numpy as np
import pytest
from lookalike.search.v1 import search_pb2 as pb
from lookalike.v1.embedding_pb2 import Embedding

from search_service.account import shape
from search_service.catalog import Catalog

SPACE = "a" * 64


@pytest.fixture(scope="module")
def generation(opened, forest_build):
    return opened(forest_build)


@pytest.fixture(scope="module")
def search(serving, generation):
    catalog = Catalog()
    catalog.promote("dresses", (generation,))
    return serving(catalog, log_calls_every=1)


def request(index="dresses", item="item-00011", **options):
    return pb.SearchRequest(
        index=index, query=pb.Query(item_id=item), options=pb.SearchOptions(**options)
    )


def equals(attribute, text="kind 1"):
    return pb.Filter(equals=pb.Equals(attribute=attribute, value=pb.Value(string_value=text)))


def test_an_answer_says_who_gave_it_how_hard_it_looked_and_where_the_time_went(search, lines):
    embedding = Embedding(values=np.ones(32, "<f4").tobytes(), space_id=SPACE)
    asked = pb.SearchRequest(index="dresses", query=pb.Query(embedding=embedding))
    answer = search.stub.Search(asked, timeout=20)

    [line] = lines()
    assert (line["index"], line["generation"], line["space_id"]) == ("dresses", 1, SPACE)
    assert (line["engine"], line["effort"]) == ("annoy", answer.answered.effort)
    assert (line["target"], line["queries"], line["k"], line["hits"]) == ("vector", 1, 10, 10)
    assert (line["recall"], line["eased"], line["shortfall"]) == (0.99, False, {})
    assert list(line["stage_micros"]) == ["admission", "filter", "candidates", "rerank"]
    assert line["stage_micros"]["candidates"] == answer.timings.candidates_micros


def test_conditions_and_options_are_told_by_their_shape(search, lines):
    search.stub.Search(
        request(
            filters=[
                equals("category"),
                pb.Filter(none_of=pb.FilterList(filters=[equals("tags")])),
            ],
            exclude_item_ids=["item-00001"],
            max_per_value=pb.MaxPerValue(attribute="price", count=2),
            minimum_similarity=0.25,
            k=400,
        ),
        timeout=20,
    )

    [line] = lines()
    assert line["target"] == "item"
    assert line["conditions"] == ["category equals", "none_of(tags equals)"]
    assert line["options"] == ["exclude 1", "max_per_value 2", "minimum_similarity 0.25"]
    assert line["shortfall"] == {"fewer_exist": 1}


def test_nothing_that_the_caller_wrote_is_told(search, lines):
    for asked in (
        request(item="swordfish"),
        request(filters=[equals("swordfish")]),
        request(filters=[equals("category", "swordfish")], exclude_item_ids=["swordfish"]),
        request(index="Sword Fish!"),
        request(k=0, item="swordfish"),
    ):
        try:
            search.stub.Search(asked, timeout=20)
        except grpc.RpcError as error:
            assert error.code() is not grpc.StatusCode.INTERNAL  # noqa: PT017

    found = lines()
    assert [line.get("reason") for line in found] == [
        "UNKNOWN_ITEM",
        "UNKNOWN_ATTRIBUTE",
        None,
        "INVALID_FIELD",
        "INVALID_FIELD",
    ]
    assert found[1]["conditions"] == ["? equals"]
    assert found[3]["index"] == "?"
    assert "sword" not in json.dumps(found).lower()


def test_a_refused_search_says_which_generation_refused_it(search, lines):
    search.refused(search.stub.Search, request(item="item-99999"))

    [line] = lines()
    assert (line["why"], line["code"], line["reason"]) == ("failed", "NOT_FOUND", "UNKNOWN_ITEM")
    assert (line["index"], line["generation"]) == ("dresses", 1)


def test_a_condition_of_too_many_parts_is_told_up_to_what_a_call_may_have(generation):
    many = pb.Filter(any_of=pb.FilterList(filters=[equals("category")] * 1000))
    deep = equals("category")
    for _ in range(30):
        deep = pb.Filter(all_of=pb.FilterList(filters=[deep]))
    listed = pb.In(attribute="category", values=[pb.Value(string_value="x")] * 3)

    assert shape([many, many], generation.manifest)[0].count("category equals") == 63
    assert shape([deep], generation.manifest)[0].endswith("all_of(...)" + ")" * 7)
    assert shape([pb.Filter(is_in=listed), pb.Filter()], generation.manifest) == [
        "category is_in 3",
        "nothing",
    ]
