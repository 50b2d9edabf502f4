"""Both services in the test's own process, on free ports, without a model or an index.

    from lookalike_client.testing import FakeServices

    def test_the_page_shows_what_is_near():
        with FakeServices(index="dresses") as services:
            services.add("d-1", {"d-1/front.jpg": photo}, colour="red")
            with services.client() as client:
                assert client.similar("dresses", photo).hits[0].item_id == "d-1"

Real gRPC servers with the services' own contracts. A photo's vector is made from its bytes: the
same bytes are the same vector, and any two other photos have a similarity near 0.
`services.search.refusals.append(Refusal(reason="OVERLOADED"))` makes the next Search fail as a full
service would.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from types import TracebackType
from typing import Self

import grpc
from lookalike.embedder.v1.embedder_pb2_grpc import add_EmbedderServiceServicer_to_server
from lookalike.search.v1.search_pb2_grpc import add_SearchServiceServicer_to_server

from lookalike_client._client import Client
from lookalike_client._fake_embedder import FakeEmbedder
from lookalike_client._fake_search import FakeItem, FakeSearch
from lookalike_client._refusals import Refusal
from lookalike_client._values import AttributeValue

__all__ = ["FakeEmbedder", "FakeItem", "FakeSearch", "FakeServices", "Refusal"]

SPACE_ID = sha256(b"the fake's space").hexdigest()
DIMENSION = 64


class FakeServices:
    """embedder, search: the servicers; embedder_address, search_address: where they listen."""

    def __init__(self, index: str = "dresses", *, dimension: int = DIMENSION) -> None:
        self.embedder = FakeEmbedder(SPACE_ID, dimension)
        self.search = FakeSearch(index, SPACE_ID)
        self._servers = [_server(), _server()]
        add_EmbedderServiceServicer_to_server(self.embedder, self._servers[0])
        add_SearchServiceServicer_to_server(self.search, self._servers[1])
        self.embedder_address, self.search_address = (_bound(server) for server in self._servers)

    def add(
        self, item_id: str, photos: Mapping[str, bytes], **attributes: AttributeValue
    ) -> FakeItem:
        """Puts an item into the index. photos: their bytes by their ids."""
        embeddings = {name: self.embedder.embedding(photo) for name, photo in photos.items()}
        item = self.search.items[item_id] = FakeItem(item_id, embeddings, attributes)
        return item

    def client(self, *, deadline_seconds: float = 10.0) -> Client:
        return Client(
            embedder=self.embedder_address,
            search=self.search_address,
            deadline_seconds=deadline_seconds,
        )

    def __enter__(self) -> Self:
        for server in self._servers:
            server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for stopped in [server.stop(grace=None) for server in self._servers]:
            stopped.wait()


def _server() -> grpc.Server:
    return grpc.server(
        ThreadPoolExecutor(max_workers=4), options=[("grpc.max_receive_message_length", 64 << 20)]
    )


def _bound(server: grpc.Server) -> str:
    return f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
