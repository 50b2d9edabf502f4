"""Ways to damage a file of a generation: blind ones for any file, and ones that know its form."""

import io
import json
import struct
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa

from search_service.engines.forest import ROW_BYTES
from search_service.engines.graph_file import NEIGHBOURS

PAGE = 4096
WORDS = (0, 1, -1, 2, 2**31 - 1, -(2**31), 0x7FC00000, 0x7F800000)  # the last two: NaN, infinity
SCALARS: tuple[Any, ...] = (
    *(0, 1, -1, 7, 2**31 - 1, 2**31, 2**63, -(2**63), 10**30, 0.5, 1e308, -1e-300),
    *(None, True, "", "0", "x" * 2_000, "../../etc/passwd", "\0", "ü", [], {}, [[]], {"a": 1}),
)

Damage = Callable[[bytes, Random, bytes], bytes]  # the file, chance, another segment's file


def mutant(role: str, width: int, whole: bytes, other: bytes, chance: Random) -> tuple[str, bytes]:
    """How a file was damaged, and what became of it: something else than it was.

    width: of the forest's vectors.
    """
    ways = damages(role, width)
    while True:
        way = chance.choice(sorted(ways))
        try:
            became = ways[way](whole, chance, other)
        except (pa.ArrowException, IndexError, ValueError, struct.error):
            continue  # this file has nothing of what this way damages
        if became != whole:
            return way, became


def damages(role: str, width: int) -> dict[str, Damage]:
    """Ways to damage a file of a role."""
    ways: dict[str, Damage] = {
        "bits": _bits,
        "words": _words,
        "pages": _pages,
        "cut": lambda data, chance, _: data[: chance.choice(sorted(_cuts(role, data, width)))],
        "grown": _grown,
        "moved": _moved,
        "another's": lambda _data, _chance, other: other,
    }
    kind = role.rpartition(" ")[2]
    if kind in ("vectors", "projection", "dead"):
        ways |= {"wrong dimension": _reshaped, "numbers": _numbers}
    if kind in ("items", "photos", "golden"):
        ways |= {"columns": _columns, "values": _values}
    if kind == "forest":
        ways |= {
            "cycle": lambda data, chance, _: _children(data, chance, width, cycle=True),
            "children": lambda data, chance, _: _children(data, chance, width, cycle=False),
            "leaves": lambda data, chance, _: _leaves(data, chance, width),
            "wrong dimension": lambda data, chance, _: _other_width(data, chance, width),
        }
    if kind == "graph":
        ways |= {
            "neighbours": lambda data, chance, _: _neighbours(data, chance, width, cycle=False),
            "cycle": lambda data, chance, _: _neighbours(data, chance, width, cycle=True),
            "heads": lambda data, chance, _: _heads(data, chance, width),
        }
    if kind == "manifest":
        ways |= {"fields": _fields, "swapped": _swapped}
    return ways


def _bits(data: bytes, chance: Random, _: bytes) -> bytes:
    damaged = bytearray(data)
    for _bit in range(chance.choice((1, 1, 2, 16))):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def _words(data: bytes, chance: Random, _: bytes) -> bytes:
    damaged = bytearray(data)
    at = chance.randrange(len(damaged)) & ~3
    word = chance.choice((*WORDS, chance.getrandbits(31)))
    damaged[at : at + 4] = word.to_bytes(4, "little", signed=True)
    return bytes(damaged[: len(data)])


def _pages(data: bytes, chance: Random, _: bytes) -> bytes:
    """A page, or a disk's sector, of zeros, of noise, or of another place of the file."""
    size = chance.choice((PAGE, 512))
    at = chance.randrange(0, len(data), size)
    other = chance.randrange(0, len(data), size)
    length = len(data[at : at + size])
    page = chance.choice((bytes(length), chance.randbytes(length), data[other : other + length]))
    return data[:at] + page + data[at + len(page) :]


def _cuts(role: str, data: bytes, width: int) -> set[int]:
    """Every kind of boundary: none, a byte, a header, a page, a sector, a row, and beside them."""
    places = {0, 1, 6, 8, 10, 64, 128, 132, len(data) // 2, len(data) - 1, len(data) - 8}
    places |= {*range(0, len(data), 512)}
    if role.endswith("forest"):
        places |= {*range(0, len(data), ROW_BYTES + 4 * width)}
    else:
        places |= {*range(128, len(data), max(1, 4 * width))}
    places |= {place + beside for place in places for beside in (-1, 1)}
    return {place for place in places if 0 <= place < len(data)}


def _grown(data: bytes, chance: Random, _: bytes) -> bytes:
    more = chance.choice((1, 4, 64, 512, PAGE))
    return data + chance.choice((bytes(more), data[-more:], chance.randbytes(more)))


def _moved(data: bytes, chance: Random, _: bytes) -> bytes:
    damaged = bytearray(data)
    start, stop = chance.randrange(len(data)), chance.randrange(len(data))
    length = chance.randrange(1, 64)
    damaged[start : start + length] = damaged[stop : stop + length]
    return bytes(damaged)


def _reshaped(data: bytes, chance: Random, _: bytes) -> bytes:
    array = np.load(io.BytesIO(data))
    cast = [np.float16, np.float64, ">f4", np.int32, np.uint8, "<U4"]
    shapes = [array.T, array[:-1], array[..., :-1], array.ravel(), array[None], array[:0]]
    shapes += [np.concatenate([array, array]), np.asfortranarray(array)]
    return _npy(chance.choice([*shapes, *(array.astype(each) for each in cast)]))


def _numbers(data: bytes, chance: Random, _: bytes) -> bytes:
    array = np.load(io.BytesIO(data)).copy()
    flat = array.reshape(-1)
    at = chance.randrange(flat.size)
    if array.dtype == np.uint8:
        flat[at] = chance.randrange(256)
        return _npy(array)
    match chance.randrange(4):
        case 0:
            flat[at] = chance.choice((np.nan, np.inf, -np.inf, 1e38, 1e-45, 0, -0.0, 1))
        case 1:
            array = -array
        case 2:
            array = array[:, ::-1]
        case _:
            array = array[chance.sample(range(len(array)), len(array))]
    return _npy(array)


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _columns(data: bytes, chance: Random, _: bytes) -> bytes:
    """An Arrow file in order, but of other columns or rows."""
    table = pa.ipc.open_file(data).read_all()
    name = chance.choice(table.column_names)
    at = table.column_names.index(name)
    half = len(table) // 2
    tables = [
        table.drop_columns([name]) if table.num_columns > 1 else table.slice(0, 0),
        table.rename_columns([f"{each}x" for each in table.column_names]),
        table.append_column("attribute.more", pa.array(range(len(table)))),
        table.append_column(name, table.column(name)),
        table.select(table.column_names[::-1]),
        table.slice(0, len(table) - 1),
        table.slice(1),
        pa.concat_tables([table, table]),
        pa.concat_tables([table.slice(half), table.slice(0, half)]),
        table.set_column(at, name, pa.nulls(len(table), table.schema.field(name).type)),
        table.set_column(at, name, pa.array(["x"] * len(table))),
        table.set_column(at, name, pa.array(range(len(table)), pa.int32())),
    ]
    return _arrow(chance.choice(tables), batch_rows=chance.choice((None, None, 7)))


def _values(data: bytes, chance: Random, _: bytes) -> bytes:
    """An Arrow file in order, but for one value."""
    table = pa.ipc.open_file(data).read_all()
    at = chance.randrange(table.num_columns)
    field = table.schema.field(at)
    values = table.column(at).to_pylist()
    row = chance.randrange(len(values))
    others: tuple[Any, ...] = (None, values[chance.randrange(len(values))])
    if pa.types.is_string(field.type):
        others += ("", "zzz", "x" * 5_000, "\0", "item")
    if pa.types.is_integer(field.type):
        others += (0, -1, 1, 2**31, -(2**63), 2**63 - 1)
    if pa.types.is_fixed_size_list(field.type):
        values[row][chance.randrange(len(values[row]))] = chance.choice((0, 1, 59, -1, 2**31 - 1))
        others = (values[row],)
    if pa.types.is_list(field.type):
        others += ([None], [], ["x"] * 500)
    values[row] = chance.choice(others)
    return _arrow(table.set_column(at, field, pa.array(values, field.type)))


def _arrow(table: pa.Table, batch_rows: int | None = None) -> bytes:
    file = io.BytesIO()
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, batch_rows)
    return file.getvalue()


def _children(data: bytes, chance: Random, width: int, *, cycle: bool) -> bytes:
    """Another child for a node that splits: itself, a later one, or any number."""
    nodes = _nodes(data, width)
    splits = np.flatnonzero(nodes[:, 0] > width + 2)
    at = int(chance.choice(splits.tolist()))
    later = [at, len(nodes) - 1, chance.randrange(at, len(nodes))]
    others = [0, at - 1, -1, len(nodes), 2**31 - 1, chance.randrange(len(nodes))]
    nodes[at, chance.choice((2, 3))] = chance.choice(later if cycle else others)
    if chance.random() < 0.5:  # as well in the copies of the roots, which are read first
        nodes[-1] = nodes[at]
    return nodes.tobytes()


def _leaves(data: bytes, chance: Random, width: int) -> bytes:
    """Another count, or another member, of a node that lists items."""
    nodes = _nodes(data, width)
    items = int(nodes[-1, 0])
    lists = np.flatnonzero((nodes[:, 0] <= width + 2) & (np.arange(len(nodes)) >= items))
    at = int(chance.choice(lists.tolist()))
    if chance.random() < 0.4:
        nodes[at, 0] = chance.choice((0, 1, -1, width + 2, width + 3, items, 2**31 - 1))
    else:
        place = 2 + chance.randrange(max(1, int(nodes[at, 0])))
        nodes[at, place] = chance.choice((0, items, items - 1, -1, len(nodes) - 1, 2**31 - 1))
    return nodes.tobytes()


def _other_width(data: bytes, chance: Random, width: int) -> bytes:
    """The rows of a forest over fewer or more dimensions, or of another metric."""
    nodes = _nodes(data, width)
    cut = chance.choice((1, 2, width // 2))
    wider = np.concatenate([nodes, np.zeros((len(nodes), cut), np.int32)], axis=1)
    angular = np.delete(nodes, 1, axis=1)  # its rows have no offset
    return np.ascontiguousarray(chance.choice((nodes[:, :-cut], wider, angular))).tobytes()


def _nodes(data: bytes, width: int) -> np.ndarray:
    return np.frombuffer(data, np.int32).reshape(-1, ROW_BYTES // 4 + width).copy()


def _neighbours(data: bytes, chance: Random, width: int, *, cycle: bool) -> bytes:
    """Another neighbour, or count of them, for a node on the ground; or it is its own, alone."""
    damaged = bytearray(data)
    levels_at, starts = _graph_nodes(data, width)
    node = chance.randrange(len(starts))
    lists = starts[node] + 10  # behind its key and level
    if cycle:
        room = 2 * NEIGHBOURS
        struct.pack_into(f"<{room + 1}I", damaged, lists, room, *([node] * room))
        return bytes(damaged)
    place = lists + 4 * chance.randrange(2 * NEIGHBOURS + 1)
    words = (0, 1, len(starts) - 1, len(starts), 2**31, 2**32 - 1, chance.randrange(len(starts)))
    struct.pack_into("<I", damaged, place, chance.choice(words))
    if chance.random() < 0.3:  # its level, in the list of levels or at the node itself
        struct.pack_into("<h", damaged, chance.choice((levels_at + 2 * node, lists - 2)), 1)
    return bytes(damaged)


def _heads(data: bytes, chance: Random, width: int) -> bytes:
    """Another word in one of the heads: counts, kinds, dimension, entry, levels."""
    damaged = bytearray(data)
    levels_at, starts = _graph_nodes(data, width)
    begin = 8 + 2 * width * len(starts)
    at = chance.choice([0, 4, *range(begin, levels_at + 2 * len(starts) - 4, 4)])
    struct.pack_into("<i", damaged, at, chance.choice((*WORDS, len(starts), width, width * 2)))
    return bytes(damaged)


def _graph_nodes(data: bytes, width: int) -> tuple[int, list[int]]:
    """Where the list of levels begins, and each node; search_service/engines/graph_file.py."""
    (rows,) = struct.unpack_from("<I", data)
    levels_at = 8 + 2 * width * rows + 64 + 40
    levels = struct.unpack_from(f"<{rows}h", data, levels_at)
    starts = [levels_at + 2 * rows]
    for level in levels[:-1]:
        starts.append(starts[-1] + 10 + 4 + 8 * NEIGHBOURS + level * (4 + 4 * NEIGHBOURS))
    return levels_at, starts


def _fields(data: bytes, chance: Random, _: bytes) -> bytes:
    """JSON in order, but for one field: another value, none, or one more."""
    value = json.loads(data)
    holder, key = chance.choice(list(_places(value)))
    match chance.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[f"{key}x"] = holder[key]
        case 2 if isinstance(holder[key], int) and not isinstance(holder[key], bool):
            holder[key] += chance.choice((-1, 1))
        case _:
            holder[key] = chance.choice(SCALARS)
    return json.dumps(value).encode()


def _swapped(data: bytes, chance: Random, _: bytes) -> bytes:
    """Two values of the same type in each other's places: blobs of each other's roles above all."""
    value = json.loads(data)
    places = list(_places(value))
    (one, name) = chance.choice(places)
    alike = [(o, n) for o, n in places if type(o[n]) is type(one[name]) and o[n] != one[name]]
    (other, key) = chance.choice(alike)
    inside = json.dumps(one[name]), json.dumps(other[key])
    if inside[0] in inside[1] or inside[1] in inside[0]:
        raise ValueError("one holds the other")
    one[name], other[key] = other[key], one[name]
    return json.dumps(value).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key) of a JSON value."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])
