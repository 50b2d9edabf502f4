"""Looks through a usearch file before it is mapped: a forged neighbour makes usearch read anywhere.

usearch compares sizes and little else. Its file: `uint32 rows, bytes a row`; the rows' vectors; a
head of 64 bytes (magic, versions, kinds, counts, dimension); `uint64 rows, neighbours, neighbours
on the ground, highest level, entry`; `int16 level` a node; the nodes. A node is `uint64 key, int16
level`, then for the ground and each level above it up to its own `uint32 count` and room for so
many `uint32` neighbours. A search begins at the entry, on the highest level.
"""

import struct
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from search_service.manifest import FormatError

NEIGHBOURS = 16  # a node and level; twice as many on the ground
_HEAD = struct.Struct("<7s3H4B3Q?22x")
_GRAPH_HEAD = struct.Struct("<5Q")
# euclidean, bfloat16, keys of 64 and neighbours of 32 bits
_KINDS = (ord("e"), 4, 14, 15)
_EARLIEST = 10  # what older versions wrote is read with other kinds than it names
_NODE = 10  # bytes before the neighbours
_GROUND, _ABOVE = 4 + 4 * 2 * NEIGHBOURS, 4 + 4 * NEIGHBOURS
# Nodes looked at together: 10 MB.
_CHUNK = 65_536


def check_graph(path: Path, width: int, rows: int) -> None:
    """Raises FormatError unless every walk stays among the nodes, and every row is one of them."""
    data = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)
    vectors_end = 8 + 2 * width * rows
    levels_at = vectors_end + _HEAD.size + _GRAPH_HEAD.size
    nodes_at = levels_at + 2 * rows
    if len(data) < nodes_at:
        raise FormatError(f"graph: expected more than {nodes_at} bytes, got {len(data)}")
    if struct.unpack("<2I", bytes(data[:8])) != (rows, 2 * width):
        raise FormatError(f"graph: expected {rows} vectors of {2 * width} bytes, got others")
    _check_head(_HEAD.unpack(bytes(data[vectors_end : vectors_end + _HEAD.size])), width, rows)
    _check_finite(data[8:vectors_end].view("<u2"))
    levels = data[levels_at:nodes_at].view("<i2").astype(np.int64)
    _check_entry(_GRAPH_HEAD.unpack(bytes(data[levels_at - _GRAPH_HEAD.size : levels_at])), levels)
    sizes = _NODE + _GROUND + _ABOVE * levels
    if len(data) != nodes_at + sizes.sum():
        raise FormatError("graph: expected its nodes to fill the file, got another size")
    starts = nodes_at + np.cumsum(sizes) - sizes
    keys = [_check_nodes(data, starts, levels, at) for at in range(0, rows, _CHUNK)]
    if not (np.bincount(np.concatenate(keys), minlength=rows) == 1).all():
        raise FormatError("graph: expected every row once, got one missing")
    for level in range(1, int(levels.max()) + 1):
        _check_level(data, starts, levels, level)


def _check_head(head: tuple[object, ...], width: int, rows: int) -> None:
    magic, major, minor, _, *rest = head
    wanted = [*_KINDS, rows, 0, width, False]
    if (magic, major) != (b"usearch", 2) or rest != wanted:
        raise FormatError(f"graph: expected usearch 2 with {wanted}, got {head}")
    if not isinstance(minor, int) or minor < _EARLIEST:
        raise FormatError(f"graph: expected usearch 2.{_EARLIEST} or later, got 2.{minor}")


def _check_finite(numbers: np.ndarray) -> None:
    for start in range(0, len(numbers), 1 << 24):
        if ((numbers[start : start + (1 << 24)] & 0x7F80) == 0x7F80).any():
            raise FormatError("graph: expected finite numbers, got NaN or infinity")


def _check_entry(head: tuple[int, ...], levels: np.ndarray) -> None:
    highest = int(levels.max())
    wanted = (len(levels), NEIGHBOURS, 2 * NEIGHBOURS, highest)
    if levels.min() < 0 or head[:4] != wanted:
        raise FormatError(f"graph: expected {wanted}, got {head[:4]}")
    if head[4] >= len(levels) or levels[head[4]] != highest:
        raise FormatError("graph: expected to begin at a node of the highest level")


def _check_nodes(
    data: np.ndarray, starts: np.ndarray, levels: np.ndarray, first: int
) -> np.ndarray:
    """Looks at some nodes and their neighbours on the ground; returns their keys."""
    some = slice(first, first + _CHUNK)
    nodes = _bytes_at(data, starts[some], _NODE + _GROUND)
    if (nodes[:, 8:_NODE].copy().view("<i2")[:, 0] != levels[some]).any():
        raise FormatError("graph: expected a node's level to be that of the list, got another")
    keys: np.ndarray = nodes[:, :8].copy().view("<u8")[:, 0]
    if (keys >= len(levels)).any():
        raise FormatError("graph: expected rows as keys, got one out of range")
    _check_neighbours(nodes[:, _NODE:], levels, 0)
    return keys.astype(np.int64)


def _check_level(data: np.ndarray, starts: np.ndarray, levels: np.ndarray, level: int) -> None:
    nodes = starts[levels >= level]
    places = nodes + _NODE + _GROUND + _ABOVE * (level - 1)
    for first in range(0, len(places), _CHUNK):
        _check_neighbours(_bytes_at(data, places[first : first + _CHUNK], _ABOVE), levels, level)


def _check_neighbours(lists: np.ndarray, levels: np.ndarray, level: int) -> None:
    numbers = lists.copy().view("<u4")
    counts, room = numbers[:, 0], numbers.shape[1] - 1
    if (counts > room).any():
        raise FormatError(f"graph: expected at most {room} neighbours a node, got more")
    listed = numbers[:, 1:][np.arange(room) < counts[:, None]]
    # A neighbour that ends below would be read beyond its end.
    if (listed >= len(levels)).any() or (levels[listed] < level).any():
        raise FormatError(f"graph: expected neighbours on level {level}, got another number")


def _bytes_at(data: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """The `length` bytes behind each start [n, length]."""
    taken: np.ndarray = sliding_window_view(data, length)[starts]
    return taken
