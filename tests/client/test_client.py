from concurrent.futures import ThreadPoolExecutor

import pytest
from lookalike.embedder.v1 import embedder_pb2
from lookalike.search.v1 import search_pb2
from lookalike_client import (
    Accuracy,
    Client,
    DeadlineExceeded,
    Embedding,
    ImageFailed,
    NotFound,
    Region,
    Unavailable,
    WrongSpace,
    filters,
)


def test_an_image_finds_its_own_item_first(client):
    answer = client.similar("dresses", b"two")

    first = answer.hits[0]
    assert (first.item_id, first.photo_id) == ("d-2", "d-2/front.jpg")
    assert first.similarity == pytest.approx(1.0)
    assert first.distance == pytest.approx(0.0, abs=1e-3)


def test_an_embedding_is_handed_on_as_it_came(client, services):
    [embedding] = client.embed([b"one"])
    client.search("dresses", embedding)

    assert services.search.requests[-1].query.embedding == embedding
    assert isinstance(embedding, Embedding)


def test_a_bad_image_fails_alone_by_its_position(client):
    first, second, third = client.embed([b"one", b"", b"three"])

    assert isinstance(second, ImageFailed)
    assert (second.position, second.reason) == (1, "UNSUPPORTED_IMAGE")
    assert second.metadata == {"position": "1"}
    assert second.field == "images[1]"
    assert not second.retryable
    assert first.space_id == third.space_id


def test_similar_raises_what_is_wrong_with_the_image(client, services):
    with pytest.raises(ImageFailed, match="expected a JPEG"):
        client.similar("dresses", b"")

    assert services.search.requests == []


def test_each_region_has_an_embedding_of_its_own(client):
    halves = [Region(left=0, right=0.5, bottom=1), Region(left=0.5, right=1, bottom=1)]

    whole, parts = client.embed_regions([(b"one", []), (b"one", halves)])

    assert len(whole) == 1
    assert len({part.values for part in (*whole, *parts)}) == 3


def test_similar_looks_at_a_region_of_the_image(client, services):
    client.similar("dresses", b"one", region=Region(right=0.5, bottom=0.5))

    assert len(services.embedder.requests[-1].images[0].regions) == 1


def test_bulk_images_say_so(client, services):
    client.embed([b"one"], bulk=True)
    client.embed([b"one"])

    bulk, online = services.embedder.requests
    assert bulk.priority == embedder_pb2.PRIORITY_BULK
    assert online.priority == embedder_pb2.PRIORITY_ONLINE


def test_the_neighbours_of_an_item_leave_it_out(client):
    answer = client.search_item("dresses", "d-1")

    assert {hit.item_id for hit in answer.hits} == {"d-2", "d-3"}


def test_a_batch_answers_each_query_in_order(client):
    [embedding] = client.embed([b"three"])

    by_vector, by_item = client.search_batch("dresses", [embedding, "d-1"], k=1)

    assert by_vector.hits[0].item_id == "d-3"
    assert by_item.hits[0].item_id != "d-1"
    assert by_vector.generation == by_item.generation


def test_hits_fulfil_what_was_asked_for(client):
    answer = client.similar("dresses", b"two", where={"colour": "red"}, include_attributes=True)

    assert {hit.attributes["colour"] for hit in answer.hits} == {"red"}


def test_attributes_come_back_as_pythons_own_values(client):
    found = {item.item_id: item for item in client.items("dresses", ["d-3", "d-2", "gone"])}

    assert found.keys() == {"d-3", "d-2"}
    assert found["d-2"].attributes == {"colour": "blue", "tags": ("midi", "silk")}
    assert found["d-3"].attributes["price"] == 19.5


def test_an_answer_says_when_fewer_exist(client):
    assert client.similar("dresses", b"one", k=3).shortfall == "none"
    assert client.similar("dresses", b"one", k=4).shortfall == "fewer_exist"


def test_an_answer_names_who_gave_it(client, services):
    answer = client.similar("dresses", b"one", request_id="order-7")

    assert (answer.generation, answer.space_id) == (1, services.search.space_id)
    assert (answer.engine, answer.effort) == ("exact", 0)
    assert "candidates" in answer.stage_micros
    assert answer.request_id == "order-7"


def test_both_services_are_told_one_request_id(client, services):
    answer = client.similar("dresses", b"one")

    assert services.embedder.request_ids == services.search.request_ids == [answer.request_id]


def test_every_option_reaches_the_service(client, services):
    client.search_item(
        "dresses",
        "d-1",
        k=3,
        where={"colour": "red"},
        filters=[filters.missing("price")],
        exclude=["d-9"],
        minimum_similarity=0.25,
        max_per_value=("colour", 2),
        collapse_similarity=0.75,
        diversity=0.5,
        accuracy=Accuracy.EXACT,
        strict_recall=True,
        photos_per_item=2,
        include_attributes=True,
    )

    options = services.search.requests[-1].options
    assert (options.k, options.photos_per_item, options.include_attributes) == (3, 2, True)
    assert options.accuracy == search_pb2.ACCURACY_EXACT
    assert options.filters[0].equals.value.string_value == "red"
    assert options.filters[1].missing.attribute == "price"
    assert options.exclude_item_ids == ["d-9"]
    assert (options.max_per_value.attribute, options.max_per_value.count) == ("colour", 2)
    shares = (options.minimum_similarity, options.collapse_similarity, options.diversity)
    assert shares == (0.25, 0.75, 0.5)
    assert options.strict_recall
    assert len(options.ListFields()) == len(options.DESCRIPTOR.fields)


def test_examples_are_items_or_embeddings_and_left_out(client, services):
    [like, unlike] = client.embed([b"two", b"three"])

    answer = client.search_examples("dresses", ["d-1", like], [unlike])

    assert [hit.item_id for hit in answer.hits] == ["d-2", "d-3"]
    examples = services.search.requests[-1].query.examples
    assert examples.positive[0].item_id == "d-1"
    assert examples.positive[1].embedding == like
    assert [each.embedding for each in examples.negative] == [unlike]


def test_a_mistyped_option_is_refused_before_anything_is_sent(client, services):
    with pytest.raises(TypeError, match=r"photos: expected one of .*photos_per_item"):
        client.search_item("dresses", "d-1", photos=3)

    assert services.search.requests == []


def test_what_is_served_can_be_asked_for(client, services):
    assert [entry.index for entry in client.indexes()] == ["dresses"]
    served = client.index("dresses").served[0]
    assert {attribute.name: attribute.type for attribute in served.attributes} == {
        "colour": search_pb2.ATTRIBUTE_TYPE_STRING,
        "price": search_pb2.ATTRIBUTE_TYPE_DOUBLE,
        "tags": search_pb2.ATTRIBUTE_TYPE_STRINGS,
    }
    assert client.info().space_id == services.embedder.space_id


def test_an_unknown_index_is_not_found(client):
    with pytest.raises(NotFound) as error:
        client.similar("shoes", b"one")

    assert error.value.reason == "UNKNOWN_INDEX"
    assert error.value.metadata == {"index": "shoes"}


def test_a_vector_of_another_model_is_told_apart(client):
    [embedding] = client.embed([b"one"])
    foreign = Embedding(values=embedding.values, space_id="0" * 64)

    with pytest.raises(WrongSpace) as error:
        client.search("dresses", foreign)

    assert error.value.metadata["space_id"] == "0" * 64


def test_a_call_whose_time_is_up_is_not_sent(client, services):
    with pytest.raises(DeadlineExceeded) as error:
        client.similar("dresses", b"one", deadline_seconds=0.0)

    assert services.embedder.requests == []
    assert error.value.retryable


def test_nobody_there_is_unavailable_and_not_a_long_wait():
    client = Client(search="127.0.0.1:1", deadline_seconds=30)

    with client, pytest.raises(Unavailable) as error:
        client.indexes()

    assert error.value.retryable
    assert error.value.reason == ""


def test_a_client_of_one_service_says_what_the_other_would_need(services):
    with Client(search=services.search_address) as client:
        assert client.indexes()
        with pytest.raises(ValueError, match="embedder: expected the service's address"):
            client.embed([b"one"])


def test_threads_share_a_client(client):
    photos = [b"one", b"two", b"three"] * 20
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda photo: client.similar("dresses", photo, k=1), photos))

    assert [answer.hits[0].item_id for answer in answers] == ["d-1", "d-2", "d-3"] * 20


def test_a_closed_client_calls_nobody(services):
    with services.client() as client:
        pass

    with pytest.raises(ValueError, match="closed"):
        client.indexes()
