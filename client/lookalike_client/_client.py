"""The client of both services."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from types import TracebackType
from typing import Self, Unpack

import grpc
from lookalike.embedder.v1 import embedder_pb2
from lookalike.embedder.v1.embedder_pb2_grpc import EmbedderServiceStub
from lookalike.search.v1 import search_pb2
from lookalike.search.v1.search_pb2_grpc import SearchServiceStub
from lookalike.v1.embedding_pb2 import Embedding

from lookalike_client import _answers
from lookalike_client._answers import Answer, Item
from lookalike_client._call import Call
from lookalike_client._channel import Connection
from lookalike_client._credentials import Credentials, FilePath
from lookalike_client._environment import Settings
from lookalike_client._errors import ImageFailed, image_failed
from lookalike_client._options import SearchOptions, search_options

Region = embedder_pb2.Region


class Client:
    """Images in, neighbours out. One per process, shared by its threads, made after forking.

    embedder, search: gRPC targets, as "dns:///search:50061" or "127.0.0.1:50061"; "" where a caller
    needs only the other. Nothing is connected before the first call.
    deadline_seconds: the time for one call of a method, retries included.
    bulk_deadline_seconds: the same for `embed(..., bulk=True)`, which waits behind everybody else.
    tls_ca, tls_certificate, tls_key, token_file: paths of files, read again when they change; calls
    go in plain text without tls_ca. The certificate is the client's own.
    traces: whether each call is a span of the application's OpenTelemetry, which the services' own
    follow. Needs the extra `otel`, or the application's own opentelemetry-api.

    Every method raises a LookalikeError; which kind says what to do about it.
    """

    def __init__(
        self,
        *,
        embedder: str = "",
        search: str = "",
        deadline_seconds: float = 2.0,
        bulk_deadline_seconds: float = 60.0,
        tls_ca: FilePath = "",
        tls_certificate: FilePath = "",
        tls_key: FilePath = "",
        token_file: FilePath = "",
        traces: bool = False,
    ) -> None:
        self._span, interceptors = _spans() if traces else (nullcontext, [])
        credentials = Credentials(
            tls_ca=tls_ca, tls_certificate=tls_certificate, tls_key=tls_key, token_file=token_file
        )
        credentials.expect_safe(embedder, search)
        tls = credentials.tls()
        self._token = credentials.token()
        self._to_embedder = (
            Connection(embedder, EmbedderServiceStub, tls, interceptors) if embedder else None
        )
        self._to_search = (
            Connection(search, SearchServiceStub, tls, interceptors) if search else None
        )
        self._deadline_seconds = deadline_seconds
        self._bulk_deadline_seconds = bulk_deadline_seconds

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Reads LOOKALIKE_CLIENT_EMBEDDER, _SEARCH and the others of docs/configuration.md."""
        return cls(**asdict(Settings.read(environment)))

    def embed(
        self,
        images: Sequence[bytes],
        *,
        bulk: bool = False,
        deadline_seconds: float | None = None,
        request_id: str | None = None,
    ) -> list[Embedding | ImageFailed]:
        """One embedding an image, in order; a bad image fails alone, in its place.

        images: 1 to 64 whole JPEG, PNG or WebP files.
        bulk: a catalogue, for which nobody waits: goes when no other call waits, and waits for
        a service that is not there.
        """
        whole = [(content, ()) for content in images]
        results = self._embed(whole, self._begin(deadline_seconds, request_id, bulk), bulk)
        return [result if isinstance(result, ImageFailed) else result[0] for result in results]

    def embed_regions(
        self,
        images: Sequence[tuple[bytes, Sequence[Region]]],
        *,
        bulk: bool = False,
        deadline_seconds: float | None = None,
        request_id: str | None = None,
    ) -> list[tuple[Embedding, ...] | ImageFailed]:
        """One embedding a region of each image, in order; an image is decoded once for all."""
        return self._embed(images, self._begin(deadline_seconds, request_id, bulk), bulk)

    def search(self, index: str, embedding: Embedding, **options: Unpack[SearchOptions]) -> Answer:
        """The items nearest to an embedding, as `embed` returned it."""
        query = search_pb2.Query(embedding=embedding)
        call, message = self._begin_search(options)
        return self._search(index, query, call, message)

    def search_item(self, index: str, item_id: str, **options: Unpack[SearchOptions]) -> Answer:
        """The items nearest to an item of the index, over all its photos; without itself."""
        query = search_pb2.Query(item_id=item_id)
        call, message = self._begin_search(options)
        return self._search(index, query, call, message)

    def search_examples(
        self,
        index: str,
        positive: Sequence[Embedding | str],
        negative: Sequence[Embedding | str] = (),
        **options: Unpack[SearchOptions],
    ) -> Answer:
        """The items most like some examples and unlike others; a text is an item's id.

        positive: 1 to 16, negative: at most 16, all of one space. The query is the mean of the
        positive ones less half the mean of the negative ones. Items named are left out.
        """
        examples = search_pb2.Examples(
            positive=[_example(each) for each in positive],
            negative=[_example(each) for each in negative],
        )
        call, message = self._begin_search(options)
        return self._search(index, search_pb2.Query(examples=examples), call, message)

    def search_batch(
        self, index: str, queries: Sequence[Embedding | str], **options: Unpack[SearchOptions]
    ) -> list[Answer]:
        """One answer a query, in order, all from one generation; a text is an item's id.

        queries: 1 to 256, all of one space. Queries x k x photos_per_item is at most 10,000.
        """
        call, message = self._begin_search(options)
        request = search_pb2.SearchBatchRequest(
            index=index, queries=[_query(query) for query in queries], options=message
        )
        reply = call.send(self._searcher.SearchBatch, request)
        return [
            _answers.answer(one, reply.answered, reply.timings, call.request_id)
            for one in reply.answers
        ]

    def similar(
        self,
        index: str,
        image: bytes,
        *,
        region: Region | None = None,
        **options: Unpack[SearchOptions],
    ) -> Answer:
        """The items nearest to an image or a region of it: Embed, then Search, one deadline."""
        call, message = self._begin_search(options)
        with self._span("similar"):
            [result] = self._embed([(image, [region] if region else [])], call, bulk=False)
            if isinstance(result, ImageFailed):
                raise result
            return self._search(index, search_pb2.Query(embedding=result[0]), call, message)

    def items(self, index: str, item_ids: Sequence[str]) -> list[Item]:
        """Items by id, 1 to 100, in the order asked for, without those that are not there."""
        request = search_pb2.GetItemsRequest(index=index, item_ids=item_ids)
        reply = self._begin().send(self._searcher.GetItems, request)
        return [_answers.item(found) for found in reply.items]

    def indexes(self) -> Sequence[search_pb2.IndexEntry]:
        """What the replica that answers serves: index, space_id, generation."""
        request = search_pb2.ListIndexesRequest()
        return self._begin().send(self._searcher.ListIndexes, request).indexes

    def index(self, name: str) -> search_pb2.GetIndexResponse:
        """One index: generations, attributes, recall curve, the spread of similarities."""
        request = search_pb2.GetIndexRequest(index=name)
        return self._begin().send(self._searcher.GetIndex, request)

    def info(self) -> embedder_pb2.GetInfoResponse:
        """What the embedder that answers runs: its space, limits, device."""
        return self._begin().send(self._embedder.GetInfo, embedder_pb2.GetInfoRequest())

    def close(self) -> None:
        """Ends what is in flight and closes the connections."""
        for connection in (self._to_embedder, self._to_search):
            if connection is not None:
                connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _embedder(self) -> EmbedderServiceStub:
        if self._to_embedder is None:
            raise ValueError("embedder: expected the service's address, got none")
        return self._to_embedder.stub()

    @property
    def _searcher(self) -> SearchServiceStub:
        if self._to_search is None:
            raise ValueError("search: expected the service's address, got none")
        return self._to_search.stub()

    def _begin(
        self,
        deadline_seconds: float | None = None,
        request_id: str | None = None,
        bulk: bool = False,
    ) -> Call:
        usual = self._bulk_deadline_seconds if bulk else self._deadline_seconds
        token = self._token.current() if self._token else None
        return Call.begin(
            usual if deadline_seconds is None else deadline_seconds, request_id, token
        )

    def _begin_search(self, options: SearchOptions) -> tuple[Call, search_pb2.SearchOptions]:
        call = self._begin(options.get("deadline_seconds"), options.get("request_id"))
        return call, search_options(options)

    def _embed(
        self, images: Sequence[tuple[bytes, Sequence[Region]]], call: Call, bulk: bool
    ) -> list[tuple[Embedding, ...] | ImageFailed]:
        request = embedder_pb2.EmbedRequest(
            images=[
                embedder_pb2.Image(content=content, regions=regions) for content, regions in images
            ],
            priority=embedder_pb2.PRIORITY_BULK if bulk else embedder_pb2.PRIORITY_ONLINE,
        )
        reply = call.send(self._embedder.Embed, request, wait_for_ready=bulk)
        return [
            image_failed(result.error, position, call.request_id)
            if result.HasField("error")
            else tuple(result.embeddings)
            for position, result in enumerate(reply.results)
        ]

    def _search(
        self, index: str, query: search_pb2.Query, call: Call, options: search_pb2.SearchOptions
    ) -> Answer:
        request = search_pb2.SearchRequest(index=index, query=query, options=options)
        reply = call.send(self._searcher.Search, request)
        return _answers.answer(reply, reply.answered, reply.timings, call.request_id)


def _spans() -> tuple[
    Callable[[str], AbstractContextManager[object]], Sequence[grpc.UnaryUnaryClientInterceptor]
]:
    try:
        from lookalike_client import _traces
    except ModuleNotFoundError as error:
        raise ValueError(
            f"traces: expected the extra otel (pip install '.[otel]' in a checkout), got no "
            f"{error.name}"
        ) from None
    return _traces.span, [_traces.RpcSpans()]


def _example(example: Embedding | str) -> search_pb2.Example:
    if isinstance(example, str):
        return search_pb2.Example(item_id=example)
    return search_pb2.Example(embedding=example)


def _query(query: Embedding | str) -> search_pb2.Query:
    if isinstance(query, str):
        return search_pb2.Query(item_id=query)
    return search_pb2.Query(embedding=query)
