import pytest


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"one")
    return path


def test_a_photo_prints_a_table_of_neighbours(lookalike_command, reachable, photo):
    result = lookalike_command("search", photo, *reachable)

    assert result.exit_code == 0
    title, head, first, *_ = result.output.splitlines()
    assert title.split()[0] == "dresses,"
    assert {"item", "similarity", "colour"} <= set(head.split())
    assert {"d-1", "1.000", "red"} <= set(first.split())


def test_json_has_the_whole_answer(lookalike_command, reachable, photo, printed):
    answer = printed(lookalike_command("search", photo, "--json", *reachable))

    assert answer["index"] == "dresses"
    assert answer["hits"][0]["item_id"] == "d-1"
    assert answer["hits"][0]["attributes"] == {"colour": "red", "price": 19.5, "new": True}
    assert answer["shortfall"] == "fewer_exist"


def test_an_item_finds_the_others(lookalike_command, reachable, printed):
    answer = printed(lookalike_command("search", "--item", "d-1", "--json", *reachable))

    assert [hit["item_id"] for hit in answer["hits"]] == ["d-2"]


@pytest.mark.parametrize(
    "where", ["colour=red", "price=19.5", "new=true", "price>=19.5", "price<20", "colour>blue"]
)
def test_a_condition_takes_its_attributes_type(lookalike_command, reachable, photo, printed, where):
    result = lookalike_command("search", photo, "--json", "--where", where, *reachable)

    assert [hit["item_id"] for hit in printed(result)["hits"]] == ["d-1"]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("colour", "expected NAME=VALUE, got 'colour'"),
        ("color=red", "expected an attribute (colour, new, price, tags), got 'color'"),
        ("price=cheap", "expected price as double, got 'cheap'"),
        ("new=perhaps", "expected new as bool, got 'perhaps'"),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused(
    lookalike_command, reachable, photo, where, said
):
    result = lookalike_command("search", photo, "--where", where, *reachable)

    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--exclude", "d-1"), ["d-2"]),
        (("--min-similarity", "0.9"), ["d-1"]),
        (("--max-per", "colour=1"), ["d-1", "d-2"]),
        (("--diversity", "1"), ["d-1", "d-2"]),
        (("--where", "price>19.5"), []),
    ],
)
def test_an_option_changes_the_answer(lookalike_command, reachable, photo, printed, options, found):
    answer = printed(lookalike_command("search", photo, "--json", *options, *reachable))

    assert [hit["item_id"] for hit in answer["hits"]] == found


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--max-per", "colour"), "--max-per: expected NAME=N, got 'colour'"),
        (("--max-per", "colour=some"), "--max-per: expected NAME=N, got 'colour=some'"),
        (("--diversity", "2"), "2.0 is not in the range 0.0<=x<=1.0"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused(
    lookalike_command, reachable, photo, options, said
):
    result = lookalike_command("search", photo, *options, *reachable)

    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


@pytest.mark.parametrize("arguments", [(), ("photo.jpg", "--item", "d-1")])
def test_a_photo_or_an_item_not_both(lookalike_command, reachable, photo, arguments):
    result = lookalike_command("search", *arguments, *reachable)

    assert result.exit_code == 2
    assert "expected one of the two" in result.output


def test_without_services_it_says_how_to_have_them(lookalike_command, photo):
    result = lookalike_command("search", photo)

    assert result.exit_code == 1
    assert "lookalike up DIR" in result.output


def test_a_photo_needs_the_embedder_and_an_item_does_not(lookalike_command, services, photo):
    only = ("--search", services.search_address)

    refused = lookalike_command("search", photo, *only)

    assert refused.exit_code == 1
    assert "or --embedder, got none" in " ".join(refused.output.split())
    assert lookalike_command("search", "--item", "d-1", *only).exit_code == 0


def test_the_environment_leads_to_the_services(lookalike_command, services, photo, monkeypatch):
    monkeypatch.setenv("LOOKALIKE_CLIENT_EMBEDDER", services.embedder_address)
    monkeypatch.setenv("LOOKALIKE_CLIENT_SEARCH", services.search_address)

    assert lookalike_command("search", photo).exit_code == 0
