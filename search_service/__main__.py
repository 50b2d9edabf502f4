"""python -m search_service: reads the configuration, then runs one replica until a signal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lookalike_kit.program import Configuration, Program

if TYPE_CHECKING:
    from search_service.config import SearchConfig

SEARCH = Program(
    name="search_service",
    extra="search",
    purpose="The CPU tier: answers over gRPC with the items of an index that are nearest to a "
    "vector, to an item or to examples. It follows what is published in a store.",
)


def configuration() -> Configuration[SearchConfig]:
    from search_service.config import PREFIX, SIBLINGS, SearchConfig

    return SearchConfig, PREFIX, SIBLINGS


def run(config: SearchConfig) -> None:
    from search_service.wiring import serve

    serve(config)


if __name__ == "__main__":
    sys.exit(SEARCH.main(configuration, run))
