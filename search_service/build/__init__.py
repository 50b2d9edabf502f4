"""Vectors in, a published generation out. Serving never imports this."""

from search_service.build.build import build
from search_service.build.change import Changed, add, compact, remove, types_of
from search_service.build.fleet import Fleet, Statuses, resolved
from search_service.build.follow import Ending, Fate, Outcome, Patience, follow
from search_service.build.options import BuildOptions
from search_service.build.prune import prune
from search_service.build.publish import (
    Listed,
    Published,
    held_by,
    hold,
    listing,
    publish,
    release,
    roll_back,
)
from search_service.build.source import Source, SourceError, read_source

__all__ = [
    "BuildOptions",
    "Changed",
    "Ending",
    "Fate",
    "Fleet",
    "Listed",
    "Outcome",
    "Patience",
    "Published",
    "Source",
    "SourceError",
    "Statuses",
    "add",
    "build",
    "compact",
    "follow",
    "held_by",
    "hold",
    "listing",
    "prune",
    "publish",
    "read_source",
    "release",
    "remove",
    "resolved",
    "roll_back",
    "types_of",
]
