"""The scripts of make bench-search run to their last line; what they measure here says nothing."""

import json

import numpy as np
import pytest

from benchmarks import build_cost, datasets, delta_cost, filters, naive, rpc_cost


def test_filters(capsys):
    filters.main(["--rows", "300", "--queries", "5"])

    figures = _figures(capsys)

    assert [each["share"] for each in figures["annoy"]] == [1.0, 0.5, 0.1, 0.01, 0.001]
    assert min(each["recall"] for each in figures["graph"]) > 0.9


def test_naive(capsys):
    naive.main(["--rows", "300", "--queries", "5", "--sets", "first"])

    recalls = {each["how"]: each["recall"] for each in _figures(capsys)["first"]}

    assert recalls["numpy, one product"] == 1
    assert recalls["ours, graph"] > 0.9


def test_what_building_and_serving_takes(capsys):
    build_cost.main(["--rows", "300", "--engines", "annoy"])

    figures = _figures(capsys)

    assert figures["annoy"]["seconds"] > 0
    assert figures["annoy"]["memory_over_blobs"] > 0


def test_what_a_change_costs(capsys):
    delta_cost.main(["--rows", "300", "--engines", "annoy", "--poll-seconds", "0.05"])

    figures = _figures(capsys)

    assert figures["annoy"]["delta_cost"] > 0
    assert figures["annoy"]["add_served_seconds"] >= 0


def test_what_a_call_costs(capsys):
    rpc_cost.main(["--rows", "300", "--calls", "50", "--rounds", "1"])

    figures = _figures(capsys)

    assert figures["served_micros"] > 0
    assert figures["echo_micros"] > 0
    assert 0 < figures["rpc_efficiency_batch"] < 1


def test_sets_are_unit_vectors_the_same_each_time():
    once, again = datasets.wide(50, queries=5), datasets.wide(50, queries=5)

    assert np.array_equal(once.vectors, again.vectors)
    assert once.queries.shape == (5, 512)
    assert np.linalg.norm(once.vectors, axis=1) == pytest.approx(1)


def _figures(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])
