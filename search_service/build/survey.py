"""What every engine would do with some vectors: measured as the builder measures, nothing kept."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from search_service.build.build import draw_golden
from search_service.build.measure import micros
from search_service.build.options import BuildOptions
from search_service.build.publish import read_current, read_manifest
from search_service.build.rows import all_live
from search_service.build.source import SortedRows, SourceError
from search_service.build.tune import Choice, tries
from search_service.engines.exact import Exact
from search_service.engines.forest import MIN_ROWS
from search_service.generation import Generation
from search_service.manifest import EngineName
from search_service.store import Store

_SCANS = 20


@dataclass(frozen=True)
class Survey:
    """The engines tried, and what a comparison of all vectors takes."""

    photos: int
    dimension: int
    options: BuildOptions
    scan_micros: float
    tried: tuple[Choice, ...]

    @property
    def compares_all(self) -> bool:
        """Whether so few need no engine."""
        return self.photos <= self.options.exact_up_to

    def chosen(self, engine: Literal["auto", "fastest"]) -> Choice | None:
        """What a build with this option would keep of what was tried."""
        engines = replace(self.options, engine=engine, exact_up_to=0).engines(self.photos)
        tried = [each for each in self.tried if each.engine in engines]
        return min(tried, key=lambda each: each.cost(self.options.target_recall), default=None)


def survey(rows: SortedRows, engines: Iterable[EngineName], options: BuildOptions) -> Survey:
    """Plants and measures each of the engines in a temporary folder. SourceError."""
    vectors = rows.vectors
    if len(vectors) < MIN_ROWS:
        raise SourceError(f"vectors: expected at least {MIN_ROWS}, got {len(vectors)}")
    golden = draw_golden(rows, options.golden_queries, options.seed)
    scan = micros(vectors, golden.vectors[:_SCANS], Exact(vectors), 20, 0)
    with tempfile.TemporaryDirectory() as folder:
        tried = tuple(tries(vectors, golden, Path(folder), engines, options, whole=True))
    photos, dimension = vectors.shape
    return Survey(photos, dimension, options, scan, tried)


def published_rows(store: Store, index: str) -> SortedRows:
    """What an index's first space searches now. StoreError, FormatError."""
    generation = open_current(store, index)
    return all_live(generation.segments, generation.manifest)


def open_current(store: Store, index: str) -> Generation:
    """What an index serves in its first space, mapped in the store. StoreError, FormatError."""
    _, current = read_current(store, index)
    entry = current.serving[0]
    manifest = read_manifest(store, index, entry.generation, entry.manifest_sha256)
    return Generation.open(manifest, entry.manifest_sha256, store.root / "blobs")
