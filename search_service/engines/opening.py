"""Opens an engine's files. Some engines need more than the search extra installs."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from search_service.engines import Engine, Vectors
from search_service.engines.exact import Exact
from search_service.engines.forest import Forest
from search_service.manifest import EngineName


class EngineMissing(Exception):
    """An engine is asked for that is not installed here."""


def check_installed(engine: EngineName) -> None:
    """Raises EngineMissing, which names the extra to install."""
    if engine == "graph" and find_spec("usearch") is None:
        raise EngineMissing(
            "engine: expected one that is installed here, got graph, which needs usearch: "
            "pip install '.[graph]' in a checkout"
        )


def open_engine(
    engine: EngineName, paths: Mapping[str, Path], vectors: Vectors, projection: Vectors | None
) -> Engine:
    """The engine over a segment's files, by role, and its vectors [n, d]. EngineMissing."""
    dimension = vectors.shape[1]
    if engine == "exact":
        return Exact(vectors)
    if engine == "annoy":
        return Forest(paths["forest"], dimension, projection)
    check_installed(engine)
    from search_service.engines.graph import Graph

    return Graph(paths["graph"], dimension, projection)
