"""Looks through an annoy file before it is mapped: forged children make annoy crash or loop.

annoy checks nothing but that the size is a multiple of its row. A row in the Euclidean metric is
`int32 descendants, float32 offset, int32 children[2], float32 vector[f]`. Rows below the number of
items are the items. A later row with more than f + 2 descendants splits them between its two
children; one with fewer lists them where children and vector would be. Children stand before their
parents. Copies of the roots close the file, and reading begins from them.
"""

from pathlib import Path

import numpy as np

from search_service.engines.forest import ROW_BYTES
from search_service.manifest import FormatError

# Nodes looked at together: 70 MB at 512 dimensions.
_CHUNK = 32_768


def check_forest(path: Path, width: int, items: int, trees: int) -> None:
    """Raises FormatError unless every walk from every root ends, in range, at every item once."""
    row_bytes = ROW_BYTES + 4 * width
    size = path.stat().st_size
    if size == 0 or size % row_bytes:
        raise FormatError(f"forest: expected rows of {row_bytes} bytes, got {size} bytes")
    nodes = np.memmap(path, np.int32, "r").reshape(-1, row_bytes // 4)
    roots = _check_roots(nodes, items, trees)
    counts = nodes[:items, 0]
    if not (counts == 1).all():
        raise FormatError("forest: expected items first, got another node among them")
    inner_end = len(nodes) - trees
    seen = np.zeros(inner_end, np.int64)
    for start in range(items, inner_end, _CHUNK):
        _count_references(nodes, start, min(start + _CHUNK, inner_end), items, width, seen)
    _check_references(nodes, roots, items, trees, inner_end, seen)


def _check_roots(nodes: np.ndarray, items: int, trees: int) -> np.ndarray:
    if len(nodes) < items + 2 * trees:
        raise FormatError(
            f"forest: expected at least {items} items and {trees} trees, got {len(nodes)} nodes"
        )
    roots = nodes[len(nodes) - trees :]
    before = nodes[len(nodes) - trees - 1]
    if not (roots[:, 0] == items).all() or before[0] != items:
        raise FormatError(f"forest: expected {trees} roots over {items} items at its end")
    # annoy takes every row at the end with as many descendants as the last for a root, and drops
    # the one before the copies if it is the last's original. Threads end in any order, so it may be
    # another's: then annoy walks one tree twice, which costs time and changes nothing.
    if not (before == roots).all(axis=1).any():
        raise FormatError("forest: expected a root before the copies of the roots")
    return roots


def _count_references(
    nodes: np.ndarray, start: int, stop: int, items: int, width: int, seen: np.ndarray
) -> None:
    """Adds to `seen` how often each node is named by the nodes from start to stop."""
    block = nodes[start:stop]
    counts = block[:, 0]
    if (counts < 1).any() or (counts > items).any():
        raise FormatError("forest: expected 1 to all descendants a node, got another count")
    capacity = width + 2
    splits = np.flatnonzero(counts > capacity)
    children = block[splits, 2:4]
    if (children < 0).any() or (children >= (splits + start)[:, None]).any():
        raise FormatError("forest: expected children before their parent, got a later one")
    if (nodes[children, 0].sum(axis=1) != counts[splits]).any():
        raise FormatError("forest: expected a node's descendants to be its children's, got others")
    np.add.at(seen, children.ravel(), 1)
    leaves = np.flatnonzero(counts <= capacity)
    listed = np.arange(capacity) < counts[leaves, None]
    members = block[leaves, 2:][listed]
    if (members < 0).any() or (members >= items).any():
        raise FormatError("forest: expected items in the leaves, got a number out of range")
    np.add.at(seen, members, 1)


def _check_references(
    nodes: np.ndarray, roots: np.ndarray, items: int, trees: int, inner_end: int, seen: np.ndarray
) -> None:
    if not (seen[:items] == trees).all():
        raise FormatError(f"forest: expected every item once in each of {trees} trees")
    inner = seen[items:inner_end]
    unnamed = np.flatnonzero(inner == 0) + items
    if (inner > 1).any() or len(unnamed) != trees:
        raise FormatError("forest: expected every inner node under one parent")
    originals = nodes[unnamed]
    if not _same_rows(originals, roots):
        raise FormatError("forest: expected the roots at its end to be copies of the trees' own")


def _same_rows(left: np.ndarray, right: np.ndarray) -> bool:
    def ordered(rows: np.ndarray) -> np.ndarray:
        return rows[np.lexsort(rows.T[::-1])]

    return bool((ordered(left) == ordered(right)).all())
