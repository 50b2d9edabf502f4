"""How an index is built."""

from dataclasses import dataclass
from typing import Literal

from search_service.engines.forest import MIN_ROWS
from search_service.manifest import EngineName

WIDTHS = (32, 48, 64, 128, 0)  # 0: all dimensions, annoy as it comes
# A graph reads a row's numbers at once: fewer than 64 of 2 bytes save nothing.
GRAPH_WIDTHS = (64, 96, 128, 192, 256, 0)


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """How to build.

    `auto` compares all of up to `exact_up_to` photos and plants a forest above, `fastest` a forest
    and a graph, of which it keeps the faster one at the target recall. A graph asks of replicas
    that the extra `graph` is installed.
    """

    engine: EngineName | Literal["auto", "fastest"] = "auto"
    widths: tuple[int, ...] = WIDTHS
    graph_widths: tuple[int, ...] = GRAPH_WIDTHS
    trees: int = 50
    target_recall: float = 0.99
    golden_queries: int = 500
    exact_up_to: int = 2_000
    seed: int = 0
    threads: int = -1  # 1: the same bytes each time

    @classmethod
    def article(cls, classes: int) -> "BuildOptions":
        """annoy as the article had it: all dimensions, one tree a class."""
        return cls(engine="annoy", widths=(0,), trees=classes)

    def engines(self, photos: int) -> tuple[EngineName, ...]:
        """Which are planted and measured over so many photos; none: all are compared."""
        if self.engine == "exact" or photos < MIN_ROWS:
            return ()
        if self.engine in ("auto", "fastest") and photos <= self.exact_up_to:
            return ()
        if self.engine == "fastest":
            return "graph", "annoy"  # the graph's time ends a slower forest's curve
        return ("graph",) if self.engine == "graph" else ("annoy",)
