"""annoy's file: every real forest passes, and what could crash or mislead a walk does not."""

import numpy as np
import pytest

from search_service.engines.forest import Forest, build_forest
from search_service.engines.structure import check_forest
from search_service.manifest import FormatError


def drawn(count, width, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def planted(path, count, width, trees, *, threads=1, vectors=None):
    build_forest(
        path, drawn(count, width) if vectors is None else vectors, trees, seed=1, threads=threads
    )
    return path


@pytest.mark.parametrize(
    ("count", "width", "trees"),
    [
        (20, 32, 1),
        (20, 32, 10),
        (33, 32, 10),
        (34, 32, 10),
        (35, 32, 10),
        (36, 32, 3),
        (20, 1, 5),
        (500, 1, 7),
        (500, 2, 50),
        (2_000, 16, 1),
        (2_000, 64, 10),
        (600, 512, 3),
    ],
)
def test_a_real_forest_passes(tmp_path, count, width, trees):
    check_forest(planted(tmp_path / "forest", count, width, trees), width, count, trees)


def test_a_forest_planted_by_many_threads_passes(tmp_path):
    for seed in range(20):
        path = tmp_path / f"{seed}"
        vectors = drawn(60, 8, seed)
        check_forest(planted(path, 60, 8, 8, threads=8, vectors=vectors), 8, 60, 8)


@pytest.mark.parametrize("vectors", [np.ones((300, 16)), np.repeat(drawn(3, 16), 100, axis=0)])
def test_a_forest_over_equal_vectors_passes(tmp_path, vectors):
    path = planted(tmp_path / "forest", 300, 16, 5, vectors=vectors.astype(np.float32))

    check_forest(path, 16, 300, 5)


COUNT, WIDTH, TREES = 300, 8, 4


@pytest.fixture
def forest(tmp_path):
    return planted(tmp_path / "forest", COUNT, WIDTH, TREES)


def nodes_of(path, mode="r+"):
    return np.memmap(path, np.int32, mode).reshape(-1, 4 + WIDTH)


def splits(nodes):
    numbers = np.arange(len(nodes))
    inner = (numbers >= COUNT) & (numbers < len(nodes) - TREES)
    return np.flatnonzero(inner & (nodes[:, 0] > WIDTH + 2))


def leaves(nodes):
    numbers = np.arange(len(nodes))
    inner = (numbers >= COUNT) & (numbers < len(nodes) - TREES)
    return np.flatnonzero(inner & (nodes[:, 0] <= WIDTH + 2))


def refused(path, match, *, width=WIDTH, count=COUNT, trees=TREES):
    with pytest.raises(FormatError, match=match):
        check_forest(path, width, count, trees)


@pytest.mark.parametrize("child", [-1, -(2**31), 2**31 - 1, 10**6])
def test_a_child_out_of_range_is_refused(forest, child):
    nodes = nodes_of(forest)
    nodes[splits(nodes)[0], 2] = child

    refused(forest, "children before their parent")


def test_a_cycle_is_refused(forest):
    nodes = nodes_of(forest)
    for target in (0, 1):
        at = splits(nodes)[target]
        nodes[at, 3] = at

    refused(forest, "children before their parent")


@pytest.mark.parametrize("member", [-1, COUNT, 2**31 - 1])
def test_a_leaf_with_no_item_is_refused(forest, member):
    nodes = nodes_of(forest)
    nodes[leaves(nodes)[3], 2] = member

    refused(forest, "items in the leaves")


def test_a_leaf_that_names_another_trees_item_is_refused(forest):
    nodes = nodes_of(forest)
    leaf = leaves(nodes)[3]
    nodes[leaf, 2] = (nodes[leaf, 2] + 1) % COUNT

    refused(forest, "every item once")


@pytest.mark.parametrize("count", [0, -1, 1, COUNT + 1, 2**31 - 1])
def test_another_count_of_descendants_is_refused(forest, count):
    for at in (0, -1):
        nodes = nodes_of(forest)
        changed = splits(nodes)[at]
        before, nodes[changed, 0] = int(nodes[changed, 0]), count
        refused(forest, "forest: expected")
        nodes[changed, 0] = before
    check_forest(forest, WIDTH, COUNT, TREES)


def test_a_split_that_says_more_than_its_children_have_is_refused(forest):
    nodes = nodes_of(forest)
    nodes[splits(nodes)[0], 0] += 1

    refused(forest, "descendants to be its children's")


def test_an_item_that_is_a_node_is_refused(forest):
    nodes_of(forest)[5, 0] = 2

    refused(forest, "items first")


def test_a_root_that_is_no_copy_is_refused(forest):
    nodes = nodes_of(forest)
    nodes[-2, 2] -= 1

    refused(forest, "copies")


def test_roots_in_another_order_are_those_of_threads_and_pass(forest):
    nodes = nodes_of(forest)
    for order in ([1, 0, 2, 3], [3, 2, 1, 0], [2, 3, 0, 1]):
        nodes[-TREES:] = np.array(nodes[-TREES:])[order]
        check_forest(forest, WIDTH, COUNT, TREES)
        (found,) = Forest(forest, WIDTH, None).candidates(drawn(COUNT, WIDTH)[[7]], 1, 1000)
        assert found.tolist() == [7]


@pytest.mark.parametrize("trees", [TREES - 1, TREES + 1, 10**6])
def test_another_number_of_trees_is_refused(forest, trees):
    refused(forest, "forest: expected", trees=trees)


@pytest.mark.parametrize("count", [COUNT - 1, COUNT + 1, 20, 10**6])
def test_another_segments_forest_is_refused(forest, count):
    refused(forest, "forest: expected", count=count)


@pytest.mark.parametrize("width", [1, 3, WIDTH - 1, WIDTH + 1, 2 * WIDTH + 4, 512])
def test_a_forest_of_another_width_is_refused(forest, width):
    refused(forest, "forest: expected", width=width)


@pytest.mark.parametrize("rows", [1, TREES, TREES + 1, 100])
def test_a_file_cut_at_a_row_is_refused(forest, rows):
    data = forest.read_bytes()
    forest.write_bytes(data[: -rows * (16 + 4 * WIDTH)])

    refused(forest, "forest: expected")


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * (16 + 4 * WIDTH), b"\0" * 100_000])
def test_what_is_no_forest_is_refused(forest, data):
    forest.write_bytes(data)

    refused(forest, "forest: expected")
