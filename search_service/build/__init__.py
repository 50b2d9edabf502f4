"""Vectors in, a published generation out. Serving never imports this."""

from search_service.build.build import BuildOptions, build
from search_service.build.prune import prune
from search_service.build.publish import Listed, held_by, hold, listing, publish, release, roll_back
from search_service.build.source import Source, SourceError, read_source

__all__ = [
    "BuildOptions",
    "Listed",
    "Source",
    "SourceError",
    "build",
    "held_by",
    "hold",
    "listing",
    "prune",
    "publish",
    "read_source",
    "release",
    "roll_back",
]
