"""What comes back: frozen values made from Search's messages."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lookalike.search.v1 import search_pb2

from lookalike_client._values import AttributeValue, from_value


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo near the query. similarity: 1 the same, 0 unrelated; distance: Euclidean, 0 to 2."""

    photo_id: str
    similarity: float
    distance: float


@dataclass(frozen=True, slots=True)
class Hit:
    """An item near the query, with its nearest photos first."""

    item_id: str
    photos: tuple[Photo, ...]
    attributes: Mapping[str, AttributeValue]

    @property
    def photo_id(self) -> str:
        return self.photos[0].photo_id

    @property
    def similarity(self) -> float:
        return self.photos[0].similarity

    @property
    def distance(self) -> float:
        return self.photos[0].distance


@dataclass(frozen=True, slots=True)
class Answer:
    """The neighbours of one query, and who found them.

    hits: the nearest first, ties by id; with diversity, in the order chosen.
    shortfall: "none"; why there are fewer than k: "fewer_exist"; or "effort_lowered", where the
    index was never measured to reach the accuracy asked for or too many calls waited.
    generation, space_id: what answered; engine, effort: how it looked ("annoy" and its search_k, or
    "exact", 0).
    stage_micros: the service's time by stage, in microseconds; for a batch, of the whole call.
    request_id: what to look for in the service's logs.
    """

    hits: tuple[Hit, ...]
    shortfall: str
    generation: int
    space_id: str
    engine: str
    effort: int
    stage_micros: Mapping[str, int]
    request_id: str


@dataclass(frozen=True, slots=True)
class Item:
    """An item of an index. photo_ids: at most 64 of its photo_count photos."""

    item_id: str
    photo_ids: tuple[str, ...]
    photo_count: int
    attributes: Mapping[str, AttributeValue]


def answer(
    reply: search_pb2.SearchResponse | search_pb2.BatchAnswer,
    answered: search_pb2.Answered,
    timings: search_pb2.SearchTimings,
    request_id: str,
) -> Answer:
    return Answer(
        hits=tuple(_hit(found) for found in reply.hits),
        shortfall=_shortfall(reply.shortfall),
        generation=answered.generation,
        space_id=answered.space_id,
        engine=answered.engine,
        effort=answered.effort,
        stage_micros=_stages(timings),
        request_id=request_id,
    )


def item(found: search_pb2.Item) -> Item:
    return Item(
        found.item_id, tuple(found.photo_ids), found.photo_count, _attributes(found.attributes)
    )


def _hit(found: search_pb2.Hit) -> Hit:
    photos = tuple(
        Photo(photo.photo_id, photo.similarity, photo.distance) for photo in found.photos
    )
    return Hit(found.item_id, photos, _attributes(found.attributes))


def _attributes(values: Mapping[str, search_pb2.Value]) -> Mapping[str, AttributeValue]:
    known = {name: from_value(value) for name, value in values.items()}
    return MappingProxyType({name: value for name, value in known.items() if value is not None})


def _shortfall(number: int) -> str:
    if not number:
        return "none"
    value = search_pb2.Shortfall.DESCRIPTOR.values_by_number.get(number)
    return value.name.removeprefix("SHORTFALL_").lower() if value else f"shortfall_{number}"


def _stages(timings: search_pb2.SearchTimings) -> Mapping[str, int]:
    """{"candidates": 812, ...}: whatever stages the contract has."""
    return MappingProxyType(
        {
            field.name.removesuffix("_micros"): getattr(timings, field.name)
            for field in timings.DESCRIPTOR.fields
        }
    )
