"""A search service over a few items in memory: every vector is compared."""

# ruff: noqa: ARG002, N802 (gRPC names the methods and what they are given)

import math
import struct
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lookalike.search.v1 import search_pb2, search_pb2_grpc
from lookalike.v1.embedding_pb2 import Embedding

from lookalike_client._fake_choice import Candidate, choose
from lookalike_client._fake_embedder import request_id
from lookalike_client._fake_filters import fulfils
from lookalike_client._refusals import Context, Refusal
from lookalike_client._values import AttributeValue, to_value

GENERATION = 1


@dataclass(frozen=True)
class FakeItem:
    """An item and its photos' embeddings, which FakeEmbedder.embedding makes."""

    item_id: str
    photos: Mapping[str, Embedding]
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)


class FakeSearch(search_pb2_grpc.SearchServiceServicer):
    """One index. requests: what it was asked. refusals: what the next calls get instead."""

    def __init__(self, index: str, space_id: str, items: Sequence[FakeItem] = ()) -> None:
        self.index = index
        self.space_id = space_id
        self.items = {item.item_id: item for item in items}
        self.requests: list[search_pb2.SearchRequest | search_pb2.SearchBatchRequest] = []
        self.request_ids: list[str] = []
        self.refusals: deque[Refusal] = deque()

    def Search(
        self, request: search_pb2.SearchRequest, context: Context
    ) -> search_pb2.SearchResponse:
        self._note(request, context)
        try:
            found = self._answer(request.index, request.query, request.options)
        except Refusal as refusal:
            refusal.abort(context)
        return search_pb2.SearchResponse(
            hits=found.hits, shortfall=found.shortfall, answered=self._answered()
        )

    def SearchBatch(
        self, request: search_pb2.SearchBatchRequest, context: Context
    ) -> search_pb2.SearchBatchResponse:
        self._note(request, context)
        try:
            answers = [
                self._answer(request.index, query, request.options) for query in request.queries
            ]
        except Refusal as refusal:
            refusal.abort(context)
        return search_pb2.SearchBatchResponse(answers=answers, answered=self._answered())

    def GetItems(
        self, request: search_pb2.GetItemsRequest, context: Context
    ) -> search_pb2.GetItemsResponse:
        found = [self.items[item_id] for item_id in request.item_ids if item_id in self.items]
        return search_pb2.GetItemsResponse(
            items=[_item_message(item) for item in found], generation=GENERATION
        )

    def ListIndexes(
        self, request: search_pb2.ListIndexesRequest, context: Context
    ) -> search_pb2.ListIndexesResponse:
        entry = search_pb2.IndexEntry(
            index=self.index, space_id=self.space_id, generation=GENERATION
        )
        return search_pb2.ListIndexesResponse(indexes=[entry])

    def GetIndex(
        self, request: search_pb2.GetIndexRequest, context: Context
    ) -> search_pb2.GetIndexResponse:
        if request.index != self.index:
            self._unknown_index(request.index).abort(context)
        served = search_pb2.ServedGeneration(
            space_id=self.space_id,
            generation=GENERATION,
            item_count=len(self.items),
            photo_count=sum(len(item.photos) for item in self.items.values()),
            engine="exact",
            attributes=[
                search_pb2.Attribute(name=name, type=kind)
                for name, kind in sorted(self._attribute_types().items())
            ],
        )
        return search_pb2.GetIndexResponse(index=self.index, served=[served])

    def _note(
        self, request: search_pb2.SearchRequest | search_pb2.SearchBatchRequest, context: Context
    ) -> None:
        self.requests.append(request)
        self.request_ids.append(request_id(context))
        if self.refusals:
            self.refusals.popleft().abort(context)

    def _answer(
        self, index: str, query: search_pb2.Query, options: search_pb2.SearchOptions
    ) -> search_pb2.BatchAnswer:
        if index != self.index:
            raise self._unknown_index(index)
        near_to, excluded = self._meaning(query)
        excluded |= set(options.exclude_item_ids)
        items = [item for item in self.items.values() if item.item_id not in excluded]
        wanted = [
            item for item in items if all(fulfils(item.attributes, one) for one in options.filters)
        ]
        count = options.k if options.HasField("k") else 10
        photos = options.photos_per_item if options.HasField("photos_per_item") else 1
        hits = [_hit(item, near_to, photos, options.include_attributes) for item in wanted]
        hits.sort(key=lambda hit: (hit.photos[0].distance, hit.item_id))
        chosen = choose([self._candidate(hit, options) for hit in hits], count, options)
        fewer = search_pb2.SHORTFALL_FEWER_EXIST if len(chosen) < count else None
        return search_pb2.BatchAnswer(hits=chosen, shortfall=fewer)

    def _candidate(self, hit: search_pb2.Hit, options: search_pb2.SearchOptions) -> Candidate:
        item = self.items[hit.item_id]
        vector = _unpacked(item.photos[hit.photos[0].photo_id])
        return Candidate(hit, vector, item.attributes.get(options.max_per_value.attribute))

    def _meaning(self, query: search_pb2.Query) -> tuple[list[list[float]], set[str]]:
        """The vectors to be near to, and the items to leave out."""
        match query.WhichOneof("target"):
            case "item_id":
                return self._photos(query.item_id), {query.item_id}
            case "examples":
                return self._between(query.examples)
        return [self._vector(query.embedding)], set()

    def _between(self, examples: search_pb2.Examples) -> tuple[list[list[float]], set[str]]:
        vector = _mean([self._example(each) for each in examples.positive])
        if examples.negative:
            unlike = _mean([self._example(each) for each in examples.negative])
            vector = [value - away / 2 for value, away in zip(vector, unlike, strict=True)]
        named = {each.item_id for each in (*examples.positive, *examples.negative)}
        return [_unit(vector)], named

    def _example(self, example: search_pb2.Example) -> list[float]:
        if example.WhichOneof("kind") == "item_id":
            return _unit(_mean(self._photos(example.item_id)))
        return self._vector(example.embedding)

    def _photos(self, item_id: str) -> list[list[float]]:
        if item_id not in self.items:
            raise Refusal(
                reason="UNKNOWN_ITEM",
                message=f"item_id: expected an item of {self.index}, got {item_id!r}",
                metadata={"index": self.index, "item_id": item_id},
            )
        return [_unpacked(photo) for photo in self.items[item_id].photos.values()]

    def _vector(self, embedding: Embedding) -> list[float]:
        if embedding.space_id != self.space_id:
            raise Refusal(
                reason="SPACE_NOT_SERVED",
                message=f"space_id: expected {self.space_id}, got {embedding.space_id!r}",
                metadata={"space_id": embedding.space_id, "served": self.space_id},
            )
        return _unpacked(embedding)

    def _unknown_index(self, name: str) -> Refusal:
        message = f"index: expected {self.index}, got {name!r}"
        return Refusal(reason="UNKNOWN_INDEX", message=message, metadata={"index": name})

    def _answered(self) -> search_pb2.Answered:
        return search_pb2.Answered(generation=GENERATION, space_id=self.space_id, engine="exact")

    def _attribute_types(self) -> dict[str, search_pb2.AttributeType.ValueType]:
        return {
            name: _attribute_type(value)
            for item in self.items.values()
            for name, value in item.attributes.items()
        }


def _attribute_type(value: AttributeValue) -> search_pb2.AttributeType.ValueType:
    name = str(to_value(value).WhichOneof("kind")).removesuffix("_value").upper()
    return search_pb2.AttributeType.Value(f"ATTRIBUTE_TYPE_{name}")


def _hit(
    item: FakeItem, near_to: list[list[float]], photos: int, with_attributes: bool
) -> search_pb2.Hit:
    near = [_photo_hit(photo_id, item.photos[photo_id], near_to) for photo_id in item.photos]
    near.sort(key=lambda photo: (photo.distance, photo.photo_id))
    attributes = item.attributes if with_attributes else {}
    return search_pb2.Hit(
        item_id=item.item_id,
        photos=near[:photos],
        attributes={name: to_value(value) for name, value in attributes.items()},
    )


def _photo_hit(
    photo_id: str, embedding: Embedding, near_to: list[list[float]]
) -> search_pb2.PhotoHit:
    vector = _unpacked(embedding)
    distance = min(math.dist(vector, other) for other in near_to)
    similarity = max(0.0, 1 - distance**2 / 2)
    return search_pb2.PhotoHit(photo_id=photo_id, similarity=similarity, distance=distance)


def _item_message(item: FakeItem) -> search_pb2.Item:
    return search_pb2.Item(
        item_id=item.item_id,
        photo_ids=item.photos,
        photo_count=len(item.photos),
        attributes={name: to_value(value) for name, value in item.attributes.items()},
    )


def _mean(vectors: list[list[float]]) -> list[float]:
    return [sum(values) / len(vectors) for values in zip(*vectors, strict=True)]


def _unit(vector: list[float]) -> list[float]:
    length = math.hypot(*vector)
    return [value / length for value in vector]


def _unpacked(embedding: Embedding) -> list[float]:
    return [value for (value,) in struct.iter_unpack("<f", embedding.values)]
