"""Builds a generation's files from a source, measures them, and says so in a draft."""

import shutil
import tempfile
from datetime import UTC, datetime
from hashlib import file_digest
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pyarrow as pa

from search_service.build.options import BuildOptions
from search_service.build.source import SortedRows, Source, SourceError, sort_rows
from search_service.build.spread import random_pairs, same_item_pairs
from search_service.build.tune import Choice, choose, tries
from search_service.check import ARROW_TYPES
from search_service.engines.exact import nearest_rows
from search_service.golden import TIES, GoldenQueries
from search_service.manifest import (
    SCHEMA,
    AttributeSpec,
    Blob,
    Draft,
    Golden,
    Segment,
    encode,
)
from search_service.segment import ATTRIBUTE

DRAFT = "draft.json"
VECTORS = "vectors.npy"
_NEIGHBOURS = 10


def build(source: Source, out: Path, options: BuildOptions) -> Draft:
    """Writes the files of a generation and draft.json into a new folder `out`."""
    if out.exists():
        raise SourceError(f"{out}: expected a folder that does not exist yet, got one that does")
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    work.chmod(0o755)  # mkdtemp's own mode would keep it from another user's publish
    try:
        rows = sort_rows(source, into=work / VECTORS)
        draft = write_draft(rows, source.space_id, work, options)
        (work / DRAFT).write_bytes(encode(draft))
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return draft


def write_draft(rows: SortedRows, space_id: str, folder: Path, options: BuildOptions) -> Draft:
    """Writes the files of a generation of one segment into a folder that exists."""
    golden = draw_golden(rows, options.golden_queries, options.seed)
    choice = _chosen(rows, golden, folder, options)
    return Draft(
        schema=SCHEMA,
        created=now(),
        space_id=space_id,
        dimension=rows.vectors.shape[1],
        segments=(write_segment(rows, golden, choice, folder),),
        dead=None,
        attributes=tuple(
            AttributeSpec(name=name, kind=kind) for name, (kind, _) in rows.attributes.items()
        ),
        same_item=same_item_pairs(rows.vectors, rows.first_rows, options.seed),
        random_pair=random_pairs(rows.vectors, rows.first_rows, options.seed),
        versions=versions(),
    )


def now() -> str:
    """This moment, as manifests have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """What a build was made with."""
    found = {name: _version(name) for name in ("lookalike", "annoy", "usearch", "numpy", "pyarrow")}
    return {name: known for name, known in found.items() if known}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _chosen(
    rows: SortedRows, golden: GoldenQueries, folder: Path, options: BuildOptions
) -> Choice | None:
    """The engine whose files are in the folder afterwards; None: all vectors are compared."""
    engines = options.engines(len(rows.vectors))
    if not engines:
        return None
    work = folder / "tried"
    tried = tries(rows.vectors, golden, work, engines, options)
    choice = choose(tried, options.target_recall).moved(folder)
    shutil.rmtree(work)
    return choice


def draw_golden(source: SortedRows, queries: int, seed: int) -> GoldenQueries:
    """Some of the rows as queries, with the rows of other items that are nearest to each."""
    vectors = source.vectors
    count = len(vectors)
    generator = np.random.default_rng(seed)
    chosen = np.sort(generator.choice(count, min(queries, count), replace=False))
    own = _own_rows(source, chosen)
    photos = int((own[:, 1] - own[:, 0]).max())
    neighbours = min(_NEIGHBOURS, count - photos)
    found = nearest_rows(vectors, vectors[chosen], neighbours + photos + TIES)
    rows = np.empty((len(chosen), neighbours), np.int64)
    distances = np.empty((len(chosen), neighbours), np.float32)
    for i, query in enumerate(chosen):
        others = found[i][(found[i] < own[i, 0]) | (found[i] >= own[i, 1])]
        far = np.linalg.norm(vectors[others] - vectors[query], axis=1)
        order = np.lexsort((others, far))[:neighbours]
        rows[i], distances[i] = others[order], far[order]
    return GoldenQueries(own, np.ascontiguousarray(vectors[chosen]), rows, distances)


def _own_rows(source: SortedRows, rows: np.ndarray) -> np.ndarray:
    """First and behind last row of each row's item [n, 2]; none where it is the only item."""
    if len(source.first_rows) == 1:
        return np.zeros((len(rows), 2), np.int64)
    ends = np.append(source.first_rows, len(source.vectors))
    items = np.searchsorted(source.first_rows, rows, side="right") - 1
    return np.stack([ends[items], ends[items + 1]], axis=1)


def write_segment(
    rows: SortedRows,
    golden: GoldenQueries,
    choice: Choice | None,
    folder: Path,
) -> Segment:
    """Writes a segment's files beside those of its engine, which are in the folder already.

    choice: None where all vectors are compared.
    """
    golden.write(folder / "golden")
    if not (folder / VECTORS).exists():  # a build sorts them into it
        np.save(folder / VECTORS, rows.vectors)
    (folder / VECTORS).rename(folder / "vectors")
    _write_table(folder / "photos", {"photo_id": rows.photo_ids})
    _write_table(folder / "items", _item_columns(rows))
    roles = ["vectors", "items", "photos", "golden", *(choice.files if choice else ())]
    return Segment(
        photos=len(rows.vectors),
        items=len(rows.item_ids),
        engine=choice.engine if choice else "exact",
        trees=choice.trees if choice else 0,
        width=choice.width if choice else 0,
        efforts=choice.efforts if choice else (),
        golden=Golden(
            queries=len(golden.own),
            neighbours=golden.rows.shape[1],
            source="rows, own item left out",
        ),
        blobs={role: file_blob(folder / role) for role in roles},
    )


def _item_columns(rows: SortedRows) -> dict[str, pa.Array]:
    attributes = {
        ATTRIBUTE + name: column.cast(ARROW_TYPES[kind])
        for name, (kind, column) in rows.attributes.items()
    }
    return {"item_id": rows.item_ids, "first_row": pa.array(rows.first_rows), **attributes}


def _write_table(path: Path, columns: dict[str, pa.Array]) -> None:
    table = pa.table(columns)
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)


def file_blob(path: Path) -> Blob:
    with path.open("rb") as file:
        return Blob(sha256=file_digest(file, "sha256").hexdigest(), bytes=path.stat().st_size)
