"""Chooses an engine by measuring: over which projection, and how fast at the recall wanted."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from time import perf_counter

import numpy as np

from search_service.build.measure import measure
from search_service.build.options import BuildOptions
from search_service.build.projection import narrowest, principal_directions
from search_service.build.source import SourceError
from search_service.engines import Vectors
from search_service.engines.forest import build_forest
from search_service.engines.opening import EngineMissing, check_installed, open_engine
from search_service.golden import GoldenQueries
from search_service.manifest import EffortPoint, EngineName


@dataclass(frozen=True)
class Choice:
    """An engine's files, named by their roles, and what it takes to reach which recall with it."""

    engine: EngineName
    width: int  # of the projection; 0: all dimensions
    trees: int  # 0 without a forest
    efforts: tuple[EffortPoint, ...]
    files: dict[str, Path]  # by role, in one folder
    bytes: int  # of the files
    build_seconds: float  # without the measuring

    def reaches(self, recall: float) -> bool:
        return self.efforts[-1].sure_recall >= recall

    def micros(self, recall: float) -> float:
        """The time of a query at a recall, between the points; infinite where it is not reached."""
        at = next((i for i, p in enumerate(self.efforts) if p.sure_recall >= recall), None)
        if at is None:
            return inf
        above, below = self.efforts[at], self.efforts[max(0, at - 1)]
        gain = above.sure_recall - below.sure_recall
        share = (recall - below.sure_recall) / gain if gain > 0 else 1.0
        return float(below.micros * (above.micros / below.micros) ** share)

    def cost(self, recall: float) -> tuple[float, float]:
        """What to make small: the time of a query at a recall, or else how far it stays below."""
        return self.micros(recall), -self.efforts[-1].recall

    def moved(self, folder: Path) -> "Choice":
        """The same, with its files in an existing folder."""
        files = {role: path.rename(folder / role) for role, path in self.files.items()}
        return replace(self, files=files)


def choose(tried: Iterable[Choice], target: float) -> Choice:
    """The fastest at the target recall; where none reaches it, the one that comes nearest.

    The others' folders are deleted. At least one must have been tried.
    """
    best: Choice | None = None
    for each in tried:
        if best is None:
            best = each
            continue
        best, loser = (each, best) if each.cost(target) < best.cost(target) else (best, each)
        for path in loser.files.values():
            path.unlink()
    if best is None:
        raise ValueError("tried: expected at least one, got none")
    return best


def tries(
    vectors: Vectors,
    golden: GoldenQueries,
    folder: Path,
    engines: Iterable[EngineName],
    options: BuildOptions,
    *,
    whole: bool = False,
) -> Iterator[Choice]:
    """Plants and measures engines over [n, d] vectors, each in a folder of its own below `folder`.

    A graph over the narrowest projection that does not limit it; a forest over one projection after
    the other as long as they get faster. whole: as if each engine were alone.
    """
    best: Choice | None = None
    for engine in engines:
        best = None if whole else best
        for projection in _projections(engine, vectors, golden, options):
            most = best.micros(options.target_recall) if best and not whole else inf
            tried = _planted(engine, vectors, golden, folder, projection, options, most)
            yield tried
            if best is None or tried.cost(options.target_recall) < best.cost(options.target_recall):
                best = tried
            elif best.reaches(options.target_recall):
                break


def _projections(
    engine: EngineName, vectors: Vectors, golden: GoldenQueries, options: BuildOptions
) -> Iterator[Vectors | None]:
    if engine == "graph":
        widths = _usable(options.graph_widths, vectors)
        enough = (1 + options.target_recall) / 2
        yield narrowest(vectors, golden, widths, enough, seed=options.seed)
        return
    for width in _usable(options.widths, vectors):
        yield principal_directions(vectors, width, seed=options.seed) if width else None


def _usable(widths: tuple[int, ...], vectors: Vectors) -> list[int]:
    most = min(vectors.shape) - 1
    usable = [width for width in widths if width <= most]
    if not usable:
        raise SourceError(f"widths: expected one of 0 to {most}, got {list(widths)}")
    return usable


def _planted(
    engine: EngineName,
    vectors: Vectors,
    golden: GoldenQueries,
    folder: Path,
    projection: Vectors | None,
    options: BuildOptions,
    most_micros: float,
) -> Choice:
    own = folder / f"{engine}-{0 if projection is None else projection.shape[1]}"
    own.mkdir(parents=True)
    return plant(
        engine,
        vectors,
        golden,
        own,
        projection=projection,
        trees=options.trees,
        seed=options.seed,
        threads=options.threads,
        most_micros=most_micros,
    )


def plant(
    engine: EngineName,
    vectors: Vectors,
    golden: GoldenQueries,
    folder: Path,
    *,
    projection: Vectors | None,
    trees: int,
    seed: int,
    threads: int,
    most_micros: float = inf,
) -> Choice:
    """Builds annoy or graph over [n, d] vectors or their projection [d, w], and measures it.

    Its files lie in the folder afterwards, named by their roles. trees, seed: annoy's alone.
    """
    begun = perf_counter()
    role = "graph" if engine == "graph" else "forest"
    files = {role: folder / role}
    if projection is not None:
        files["projection"] = folder / "projection"
        with files["projection"].open("wb") as file:
            np.save(file, projection)
    # What is projected is not kept while the engine is measured: memory is what a build lacks.
    projected = vectors if projection is None else vectors @ projection
    if engine == "graph":
        _build_graph(files[role], projected, threads)
    else:
        build_forest(files[role], projected, trees, seed=seed, threads=threads)
    del projected
    seconds = perf_counter() - begun
    opened = open_engine(engine, files, vectors, projection)
    return Choice(
        engine=engine,
        width=0 if projection is None else projection.shape[1],
        trees=0 if engine == "graph" else trees,
        efforts=measure(vectors, golden, opened, most_micros),
        files=files,
        bytes=sum(path.stat().st_size for path in files.values()),
        build_seconds=seconds,
    )


def _build_graph(path: Path, vectors: Vectors, threads: int) -> None:
    try:
        check_installed("graph")
    except EngineMissing as error:
        raise SourceError(str(error)) from None
    from search_service.engines.graph import build_graph

    build_graph(path, vectors, threads=threads)
