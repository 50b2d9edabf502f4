import inspect

import lookalike_client
from lookalike_client import filters, testing


def test_the_client_exports_exactly_this():
    assert sorted(lookalike_client.__all__) == [
        "Accuracy",
        "Answer",
        "AttributeValue",
        "Client",
        "DeadlineExceeded",
        "Embedding",
        "Hit",
        "ImageFailed",
        "InvalidRequest",
        "Item",
        "LookalikeError",
        "NotAllowed",
        "NotFound",
        "Overloaded",
        "Photo",
        "RecallNotReached",
        "Region",
        "SearchOptions",
        "ServiceFault",
        "Unavailable",
        "WrongSpace",
        "filters",
        "service_config",
    ]


def test_the_filters_are_exactly_these():
    assert sorted(filters.__all__) == [
        "Filter",
        "all_of",
        "any_of",
        "between",
        "equal",
        "missing",
        "none_of",
        "one_of",
    ]
    assert all(getattr(filters, name).__doc__ for name in set(filters.__all__) - {"Filter"})


def test_the_fakes_export_exactly_this():
    assert sorted(testing.__all__) == [
        "FakeEmbedder",
        "FakeItem",
        "FakeSearch",
        "FakeServices",
        "Refusal",
    ]


def test_a_client_can_do_exactly_this():
    public = [name for name, _ in inspect.getmembers(lookalike_client.Client) if name[0] != "_"]

    assert public == [
        "close",
        "embed",
        "embed_regions",
        "from_environment",
        "index",
        "indexes",
        "info",
        "items",
        "search",
        "search_batch",
        "search_examples",
        "search_item",
        "similar",
    ]


def test_every_exported_name_says_what_it_is_for():
    for name in set(lookalike_client.__all__) - {"AttributeValue", "Embedding", "Region"}:
        assert getattr(lookalike_client, name).__doc__, name
