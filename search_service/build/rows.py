"""Rows of segments taken and joined, in the order in which a segment has them."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from search_service.build.source import SortedRows
from search_service.engines import Mask
from search_service.manifest import Draft
from search_service.segment import ATTRIBUTE, MappedSegment
from search_service.segments import Segments


def without(part: MappedSegment, item_ids: pa.Array) -> Mask:
    """The items of a segment that have none of these ids [items]."""
    among = pc.is_in(part.items.column("item_id"), value_set=item_ids)
    result: Mask = pc.invert(among).to_numpy()
    return result


def live_rows(part: MappedSegment, items: Mask, manifest: Draft) -> SortedRows:
    """The items of a segment for which this is true."""
    counts = np.diff(part.first_rows, append=len(part.vectors))
    rows = np.flatnonzero(np.repeat(items, counts))
    kept = part.items.filter(pa.array(items)).combine_chunks()
    return SortedRows(
        vectors=part.vectors[rows],
        photo_ids=part.photos.column("photo_id").take(pa.array(rows)).combine_chunks(),
        item_ids=kept.column("item_id").combine_chunks(),
        first_rows=np.cumsum(counts[items]) - counts[items],
        attributes={
            each.name: (each.kind, kept.column(ATTRIBUTE + each.name).combine_chunks())
            for each in manifest.attributes
        },
    )


def all_live(segments: Segments, manifest: Draft) -> SortedRows:
    """What a generation searches, as one."""
    live = [np.ones(len(part.items), np.bool_) for part in segments.parts]
    if segments.dead is not None:
        live[0] = ~segments.dead
    parts = zip(segments.parts, live, strict=True)
    return joined([live_rows(part, items, manifest) for part, items in parts])


def joined(parts: Sequence[SortedRows]) -> SortedRows:
    """Parts that share no item, at least one, as one in the order of ids."""
    ids = pa.concat_arrays([part.item_ids for part in parts])
    photo_ids = pa.concat_arrays([part.photo_ids for part in parts])
    counts = np.concatenate([np.diff(part.first_rows, append=len(part.vectors)) for part in parts])
    firsts = np.cumsum(counts) - counts
    order = pc.sort_indices(ids).to_numpy()
    first_rows = np.cumsum(counts[order]) - counts[order]
    rows = np.arange(counts.sum()) + np.repeat(firsts[order] - first_rows, counts[order])
    taken = pa.array(order)
    return SortedRows(
        vectors=np.concatenate([part.vectors for part in parts])[rows],
        photo_ids=photo_ids.take(pa.array(rows)),
        item_ids=ids.take(taken),
        first_rows=first_rows,
        attributes={
            name: (kind, pa.concat_arrays([p.attributes[name][1] for p in parts]).take(taken))
            for name, (kind, _) in parts[0].attributes.items()
        },
    )
