"""What comes of a query."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from search_service.segments import AttributeValue


class PhotoHit(NamedTuple):
    photo_id: str
    distance: float  # Euclidean, between vectors of length 1

    @property
    def similarity(self) -> float:
        return max(0.0, 1.0 - self.distance * self.distance / 2.0)


class Hit(NamedTuple):
    item_id: str
    photos: tuple[PhotoHit, ...]  # the nearest first
    attributes: Mapping[str, AttributeValue]


@dataclass(frozen=True)
class Answer:
    """The hits of one query; `fewer_exist`: these are all that may be.

    effort_lowered: the engine was never measured to reach the recall asked for.
    compared_all: every vector that may matter was compared, at once or after the engine.
    """

    hits: tuple[Hit, ...]
    fewer_exist: bool
    effort_lowered: bool = False
    compared_all: bool = False


@dataclass
class Stages:
    """Nanoseconds a call spent in each stage."""

    filter: int = 0
    candidates: int = 0
    rerank: int = 0

    def shared(self, calls: int) -> "Stages":
        """What falls to each of the calls that were answered together."""
        return Stages(self.filter // calls, self.candidates // calls, self.rerank // calls)
