"""usearch's file: every real graph passes, and what could lead a walk out of it does not."""

import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from search_service.engines.graph import Graph, build_graph
from search_service.engines.graph_file import check_graph
from search_service.manifest import FormatError

COUNT, WIDTH = 600, 8
HEAD = 8 + 2 * WIDTH * COUNT
GRAPH_HEAD = HEAD + 64
LEVELS = GRAPH_HEAD + 40
NODES = LEVELS + 2 * COUNT
INFINITE = 0x7F80


def drawn(count, width, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def planted(path, vectors, threads=1):
    build_graph(path, vectors, threads=threads)
    return path


@pytest.mark.parametrize(("count", "width"), [(20, 32), (33, 1), (34, 3), (600, 8), (2_000, 64)])
@pytest.mark.parametrize("threads", [1, -1])
def test_a_real_graph_passes_and_finds_what_is_nearest(tmp_path, count, width, threads):
    vectors = drawn(count, width)
    path = planted(tmp_path / "graph", vectors, threads)

    check_graph(path, width, count)
    graph = Graph(path, width, None)
    rows = (0, count // 2, count - 1)
    found = graph.candidates(vectors[list(rows)], 10, 64)
    # Threads that build together may leave one of the last that is hard to reach.
    assert sum(row in own for row, own in zip(rows, found, strict=True)) >= (
        3 if threads == 1 or count <= 1_000 else 2
    )


def test_of_few_rows_each_is_found_however_many_threads_build(tmp_path):
    vectors = drawn(300, 64)
    graph = Graph(planted(tmp_path / "graph", vectors, threads=8), 64, None)

    found = graph.candidates(vectors, 1, 300)

    assert [int(own[0]) for own in found] == list(range(300))


def test_a_graph_over_equal_vectors_passes(tmp_path):
    check_graph(planted(tmp_path / "graph", np.ones((300, 16), np.float32)), 16, 300)


def test_looking_at_all_finds_what_a_comparison_finds(tmp_path):
    vectors = drawn(COUNT, WIDTH)
    graph = Graph(planted(tmp_path / "graph", vectors), WIDTH, None)

    (found,) = graph.candidates(vectors[[5]], COUNT + 50, 2**31 - 1)

    assert sorted(found.tolist()) == list(range(COUNT))
    nearest = np.argsort(np.linalg.norm(vectors - vectors[5], axis=1))[:10]
    assert set(nearest.tolist()) <= set(graph.candidates(vectors[[5]], 30, 400)[0].tolist())


def test_one_thread_writes_the_same_bytes_each_time(tmp_path):
    one, two = (planted(tmp_path / name, drawn(COUNT, WIDTH)) for name in ("one", "two"))

    assert one.read_bytes() == two.read_bytes()


def test_eight_threads_find_what_one_finds_each_at_its_own_effort(tmp_path):
    vectors, projection = drawn(3_000, 32), drawn(32, 16, seed=1)
    path = planted(tmp_path / "graph", vectors @ projection)
    graph = Graph(path, 32, projection)
    asked = [(row, 5 + row % 40, 1 + row % 90) for row in range(3_000)]

    def found(row, count, effort):
        return graph.candidates(vectors[[row]], count, effort)[0].tolist()

    expected = [found(*each) for each in asked]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda each: found(*each), asked))

    assert answers == expected


def test_a_graph_may_go_while_it_is_searched(tmp_path):
    vectors = drawn(COUNT, WIDTH)
    path = planted(tmp_path / "graph", vectors)
    serving = [Graph(path, WIDTH, None)]

    def ask(row):
        if row % 50 == 0:
            serving[0] = Graph(path, WIDTH, None)
        return row in serving[0].candidates(vectors[[row]], 10, 64)[0]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, [*range(COUNT)] * 3))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = planted(tmp_path_factory.mktemp("graphs") / "graph", drawn(COUNT, WIDTH))
    return path.read_bytes()


def levels_of(whole):
    return np.frombuffer(whole, "<i2", COUNT, LEVELS).astype(int)


def node_at(whole, row):
    return NODES + sum(10 + 132 + 68 * level for level in levels_of(whole)[:row])


def changed(data, at, form, *values):
    result = bytearray(data)
    struct.pack_into(form, result, at, *values)
    return bytes(result)


def lowest(whole):
    return int(np.argmin(levels_of(whole)))


def highest(whole):
    return int(np.argmax(levels_of(whole)))


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda d: b"", "expected more than"),
        (lambda d: d[:NODES], "fill the file"),
        (lambda d: d[: NODES - 1], "expected more than"),
        (lambda d: d[:-1], "fill the file"),
        (lambda d: d + b"\0", "fill the file"),
        (lambda d: changed(d, 0, "<I", COUNT - 1), "vectors of 16 bytes"),
        (lambda d: changed(d, 4, "<I", 4 * WIDTH), "vectors of 16 bytes"),
        (lambda d: changed(d, 8 + 2 * 77, "<H", INFINITE), "finite numbers"),
        (lambda d: changed(d, HEAD, "<7s", b"another"), "expected usearch 2"),
        (lambda d: changed(d, HEAD + 7, "<H", 3), "expected usearch 2"),
        (lambda d: changed(d, HEAD + 9, "<H", 9), "2.10 or later"),
        (lambda d: changed(d, HEAD + 13, "<B", ord("c")), "expected usearch 2"),
        (lambda d: changed(d, HEAD + 14, "<B", 11), "expected usearch 2"),
        (lambda d: changed(d, HEAD + 17, "<Q", COUNT - 1), "expected usearch 2"),
        (lambda d: changed(d, HEAD + 33, "<Q", 2 * WIDTH), "expected usearch 2"),
        (lambda d: changed(d, HEAD + 41, "<B", 1), "expected usearch 2"),
        (lambda d: changed(d, GRAPH_HEAD, "<Q", COUNT + 1), "graph: expected"),
        (lambda d: changed(d, GRAPH_HEAD + 8, "<Q", 2**40), "graph: expected"),
        (lambda d: changed(d, GRAPH_HEAD + 24, "<Q", 2**15), "graph: expected"),
        (lambda d: changed(d, GRAPH_HEAD + 32, "<Q", COUNT), "begin at a node"),
        (lambda d: changed(d, GRAPH_HEAD + 32, "<Q", lowest(d)), "begin at a node"),
        (lambda d: changed(d, LEVELS + 2 * lowest(d), "<h", -1), "graph: expected"),
        (lambda d: changed(d, LEVELS + 2 * lowest(d), "<h", 30_000), "graph: expected"),
        (lambda d: changed(d, LEVELS + 2 * lowest(d), "<h", 1), "fill the file"),
        (lambda d: changed(d, node_at(d, 9), "<Q", COUNT), "rows as keys"),
        (lambda d: changed(d, node_at(d, 9), "<Q", 2**64 - 1), "rows as keys"),
        (lambda d: changed(d, node_at(d, 9), "<Q", 8), "every row once"),
        (lambda d: changed(d, node_at(d, 9) + 8, "<h", 9), "level to be that"),
        (lambda d: changed(d, node_at(d, 9) + 10, "<I", 33), "at most 32"),
        (lambda d: changed(d, node_at(d, 9) + 14, "<I", COUNT), "neighbours on level 0"),
        (lambda d: changed(d, node_at(d, highest(d)) + 142, "<I", 17), "at most 16"),
        (
            lambda d: changed(d, node_at(d, highest(d)) + 142, "<2I", 1, lowest(d)),
            "neighbours on level 1",
        ),
    ],
)
def test_what_would_lead_a_walk_out_of_the_file_is_refused(tmp_path, whole, damage, match):
    (tmp_path / "graph").write_bytes(damage(whole))

    with pytest.raises(FormatError, match=match):
        check_graph(tmp_path / "graph", WIDTH, COUNT)


def test_a_graph_of_other_rows_or_another_width_is_refused(tmp_path, whole):
    (tmp_path / "graph").write_bytes(whole)

    for width, rows in ((WIDTH, COUNT - 1), (WIDTH, COUNT + 1), (2 * WIDTH, COUNT // 2)):
        with pytest.raises(FormatError, match="graph: expected"):
            check_graph(tmp_path / "graph", width, rows)
