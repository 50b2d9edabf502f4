"""Changes a published index without a rebuild: a delta segment beside the base.

Each change rewrites the delta whole: what it held, less what is changed or removed, and what is
new. Items of the base that changed or went are dead. Only these files are new, so that a replica
takes a change in as fast as it copies the delta.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from search_service.build.build import (
    draw_golden,
    file_blob,
    now,
    versions,
    write_draft,
    write_segment,
)
from search_service.build.options import BuildOptions
from search_service.build.publish import (
    Published,
    check_not_held,
    put_blobs,
    read_current,
    read_manifest,
    write_generation,
)
from search_service.build.rows import all_live, joined, live_rows, without
from search_service.build.source import (
    SortedRows,
    Source,
    SourceError,
    check_unique,
    sort_rows,
)
from search_service.build.tune import plant
from search_service.check import ARROW_TYPES
from search_service.engines import Mask
from search_service.generation import Generation
from search_service.manifest import (
    SCHEMA,
    AttributeKind,
    Dead,
    Draft,
    Manifest,
    Segment,
)
from search_service.segment import MappedSegment
from search_service.store import Store

# As the builder's own: below, comparing all takes no longer than a forest.
EXACT_UP_TO = 2_000
_QUERIES = 200


@dataclass(frozen=True)
class Changed:
    """What became of a change in one space: items, and the generation, if anything had to change.

    unknown: how many were to go and were not there.
    """

    space_id: str
    published: Published | None
    added: int = 0
    changed: int = 0
    removed: int = 0
    unknown: int = 0


def types_of(store: Store, index: str) -> dict[str, AttributeKind]:
    """The types of the attributes that an index has."""
    return {
        attribute.name: attribute.kind
        for manifest in _manifests(store, index)
        for attribute in manifest.attributes
    }


def add(store: Store, index: str, source: Source, *, serve: bool = True) -> Changed:
    """Adds items, or puts them in the place of those with the same ids, photos and all.

    Without `serve` CURRENT stays, for `follow` to move.
    SourceError for what the index cannot take; StoreError where it is not published or on hold.
    """
    with _writing(store, index):
        manifests = _manifests(store, index)
        manifest = next((each for each in manifests if each.space_id == source.space_id), None)
        if manifest is None:
            served = ", ".join(each.space_id for each in manifests)
            raise SourceError(
                f"space_id: expected one that {index} serves ({served}), got {source.space_id}"
            )
        new = _fitting(source, manifest)
        return _change(store, manifest, new, new.item_ids, serve)


def remove(
    store: Store, index: str, item_ids: Sequence[str], *, serve: bool = True
) -> list[Changed]:
    """Removes items from every space of the index; ids that it does not hold change nothing.

    Without `serve` CURRENT stays, for `follow` to move.
    """
    ids = pa.array(sorted(set(item_ids), key=str.encode), pa.string())
    with _writing(store, index):
        manifests = _manifests(store, index)
        for each in manifests:  # before any of them is changed
            _check_some_stay(store, each, ids)
        return [_change(store, each, None, ids, serve) for each in manifests]


def compact(store: Store, index: str, *, threads: int = -1, serve: bool = True) -> list[Published]:
    """Rebuilds each space that has a delta or dead items, from the stored vectors.

    threads: 1 for the same bytes each time. Without `serve` CURRENT stays, for `follow` to move.
    """
    with _writing(store, index):
        return [
            _rebuild(store, manifest, threads, serve)
            for manifest in _manifests(store, index)
            if manifest.delta or manifest.dead
        ]


@contextmanager
def _writing(store: Store, index: str) -> Iterator[None]:
    """From reading the generation to publishing the next nobody else may publish one."""
    read_current(store, index)  # before the lock, which would make a folder of a mistyped name
    with store.lock("blobs", shared=True), store.lock(f"indexes/{index}/generations"):
        check_not_held(store, index)
        yield


def _manifests(store: Store, index: str) -> list[Manifest]:
    """What CURRENT names, in its order."""
    _, current = read_current(store, index)
    return [
        read_manifest(store, index, entry.generation, entry.manifest_sha256)
        for entry in current.serving
    ]


def _fitting(source: Source, manifest: Manifest) -> SortedRows:
    """The source's rows with the index's attributes, in its types; missing ones are null."""
    kinds = {attribute.name: attribute.kind for attribute in manifest.attributes}
    names = set(source.photos.column_names) - {"photo_id", "item_id"}
    if unknown := sorted(names - kinds.keys()):
        raise SourceError(
            f"photos: expected some of the attributes {', '.join(sorted(kinds)) or 'none'}, got "
            f"{', '.join(unknown)}: a new attribute takes a build of the whole index"
        )
    rows = sort_rows(replace(source, types=kinds))
    if rows.vectors.shape[1] != manifest.dimension:
        raise SourceError(
            f"vectors: expected {manifest.dimension} dimensions, got {rows.vectors.shape[1]}"
        )
    missing = pa.nulls(len(rows.item_ids))
    attributes = {
        name: rows.attributes.get(name, (kind, missing.cast(ARROW_TYPES[kind])))
        for name, kind in kinds.items()
    }
    return replace(rows, attributes=attributes)


def _change(
    store: Store, manifest: Manifest, new: SortedRows | None, replaced: pa.Array, serve: bool
) -> Changed:
    """One generation more: `new` items beside the others, `replaced` ids not as they were."""
    generation = Generation.open(manifest, "", store.root / "blobs")
    base, *deltas = generation.segments.parts
    known = generation.segments.find_items(replaced.to_pylist())
    added = len(new.item_ids) if new else 0
    found = Changed(
        manifest.space_id,
        None,
        added=added - len(known) if new else 0,
        changed=len(known) if new else 0,
        removed=0 if new else len(known),
        unknown=0 if new else len(replaced) - len(known),
    )
    if not added and not len(known):
        return found
    dead = _dead(generation, base, replaced)
    with _folder(store) as folder:
        if new is None and all(without(delta, replaced).all() for delta in deltas):
            delta = manifest.delta  # only the base lost items
        else:
            kept = [live_rows(delta, without(delta, replaced), manifest) for delta in deltas]
            delta = _delta(base, dead, [*kept, *([new] if new else [])], folder)
        draft = _draft(manifest, base, dead, delta, folder)
        put_blobs(store, draft, folder)
        published = write_generation(store, manifest.index, draft, onto=manifest, serve=serve)
    return replace(found, published=published)


def _check_some_stay(store: Store, manifest: Manifest, item_ids: pa.Array) -> None:
    segments = Generation.open(manifest, "", store.root / "blobs").segments
    live = segments.item_numbers - (manifest.dead.items if manifest.dead else 0)
    if len(segments.find_items(item_ids.to_pylist())) == live:
        raise SourceError(f"items: expected at least one to stay in {manifest.index}, got none")


def _dead(generation: Generation, base: MappedSegment, replaced: pa.Array) -> Mask:
    """The base's items that are not there any more [items]."""
    gone = ~without(base, replaced)
    before = generation.segments.dead
    return gone if before is None else gone | before


def _check_photos(base: MappedSegment, dead: Mask, rows: SortedRows) -> None:
    """A photo id names one photo of the whole index."""
    check_unique(rows.photo_ids)
    twice = pc.is_in(base.photos.column("photo_id"), value_set=rows.photo_ids).to_numpy()
    twice = twice & ~np.repeat(dead, np.diff(base.first_rows, append=len(base.vectors)))
    if twice.any():
        row = int(np.argmax(twice))
        item = int(np.searchsorted(base.first_rows, row, side="right")) - 1
        raise SourceError(
            f"photo_id: expected each id once, got {base.photos.column('photo_id')[row]}, which "
            f"item {base.items.column('item_id')[item]} has already"
        )


def _draft(
    manifest: Manifest, base: MappedSegment, dead: Mask, delta: Segment | None, folder: Path
) -> Draft:
    return Draft(
        schema=SCHEMA,
        created=now(),
        space_id=manifest.space_id,
        dimension=manifest.dimension,
        segments=(manifest.base, delta) if delta else (manifest.base,),
        dead=_write_dead(base, dead, folder) if dead.any() else None,
        attributes=manifest.attributes,
        same_item=manifest.same_item,
        random_pair=manifest.random_pair,
        versions=versions(),
    )


def _write_dead(base: MappedSegment, dead: Mask, folder: Path) -> Dead:
    np.save(folder / "dead.npy", np.packbits(dead))
    (folder / "dead.npy").rename(folder / "dead")
    photos = np.diff(base.first_rows, append=len(base.vectors))
    return Dead(
        blob=file_blob(folder / "dead"),
        items=int(np.count_nonzero(dead)),
        photos=int(photos[dead].sum()),
    )


def _delta(
    base: MappedSegment, dead: Mask, parts: Sequence[SortedRows], folder: Path
) -> Segment | None:
    """The base's engine over its own projection; none where comparing all is as fast."""
    rows = joined(parts) if parts else None
    if rows is None or not len(rows.item_ids):
        return None
    _check_photos(base, dead, rows)
    golden = draw_golden(rows, _QUERIES, seed=0)
    engine = base.about.engine if len(rows.vectors) > EXACT_UP_TO else "exact"
    choice = None
    if engine != "exact":
        choice = plant(
            engine,
            rows.vectors,
            golden,
            folder,
            projection=base.projection,
            trees=base.about.trees,
            seed=0,
            threads=-1,
        )
    return write_segment(rows, golden, choice, folder)


def _rebuild(store: Store, manifest: Manifest, threads: int, serve: bool) -> Published:
    """What is there, built anew as one segment by the base's engine."""
    base = manifest.base
    options = BuildOptions(
        engine=base.engine if base.photos > EXACT_UP_TO else "auto",
        trees=base.trees or BuildOptions.trees,
        threads=threads,
    )
    if base.efforts and not base.width:  # it stands on all dimensions, and may have been told to
        options = replace(options, widths=(0,), graph_widths=(0,))
    segments = Generation.open(manifest, "", store.root / "blobs").segments
    rows = all_live(segments, manifest)
    with _folder(store) as folder:
        draft = write_draft(rows, manifest.space_id, folder, options)
        put_blobs(store, draft, folder)
        return write_generation(store, manifest.index, draft, onto=manifest, serve=serve)


@contextmanager
def _folder(store: Store) -> Iterator[Path]:
    """A folder of the store's own disk: what is built there is as large as what is published.

    Named as temporary files are, so that a prune takes it where the process died.
    """
    with tempfile.TemporaryDirectory(prefix=".change.", suffix=".tmp", dir=store.root) as folder:
        yield Path(folder)
