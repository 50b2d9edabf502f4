"""Vectors in, a published generation out. Serving never imports this."""

from search_service.build.build import BuildOptions, build
from search_service.build.change import Changed, add, compact, remove, types_of
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
    "Listed",
    "Published",
    "Source",
    "SourceError",
    "add",
    "build",
    "compact",
    "held_by",
    "hold",
    "listing",
    "prune",
    "publish",
    "read_source",
    "release",
    "remove",
    "roll_back",
    "types_of",
]
