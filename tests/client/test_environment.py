import pytest
from lookalike_client import Client


def test_a_client_finds_the_services_in_the_environment(services):
    environment = {
        "LOOKALIKE_CLIENT_EMBEDDER": services.embedder_address,
        "LOOKALIKE_CLIENT_SEARCH": services.search_address,
        "LOOKALIKE_CLIENT_DEADLINE_SECONDS": "10",
        "PATH": "/usr/bin",
    }

    with Client.from_environment(environment) as client:
        assert client.similar("dresses", b"one").hits[0].item_id == "d-1"


def test_a_mistyped_name_is_refused():
    with pytest.raises(ValueError, match=r"LOOKALIKE_CLIENT_SERACH: .*LOOKALIKE_CLIENT_SEARCH"):
        Client.from_environment({"LOOKALIKE_CLIENT_SERACH": "search:50061"})


@pytest.mark.parametrize("text", ["soon", "0", "-1", "inf", "nan", ""])
def test_a_deadline_that_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match=r"DEADLINE_SECONDS: expected a number of seconds"):
        Client.from_environment({"LOOKALIKE_CLIENT_DEADLINE_SECONDS": text})
