from collections.abc import Iterator

import pytest
from lookalike_client import Client
from lookalike_client.testing import FakeServices


@pytest.fixture
def services() -> Iterator[FakeServices]:
    with FakeServices(index="dresses") as fakes:
        fakes.add("d-1", {"d-1/front.jpg": b"one", "d-1/back.jpg": b"behind one"}, colour="red")
        fakes.add("d-2", {"d-2/front.jpg": b"two"}, colour="blue", tags=("midi", "silk"))
        fakes.add("d-3", {"d-3/front.jpg": b"three"}, colour="red", price=19.5)
        yield fakes


@pytest.fixture
def client(services: FakeServices) -> Iterator[Client]:
    with services.client() as connected:
        yield connected
