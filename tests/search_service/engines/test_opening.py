"""An engine that is not installed is named, with what to install."""

import subprocess
import sys

import numpy as np

from search_service.build import build, publish
from search_service.build.build import draw_golden
from search_service.build.projection import principal_directions
from search_service.build.publish import read_current
from search_service.build.source import sort_rows
from search_service.build.tune import plant
from search_service.cache import Cache
from search_service.intake import Intake

# A process of its own, in which usearch cannot be found.
WITHOUT = "import sys; sys.modules['usearch'] = None; "


def said(program, *arguments):
    child = subprocess.run(
        [sys.executable, "-c", WITHOUT + program, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
    )
    return child.stdout


def test_a_graph_is_refused_by_name_and_annoy_is_not_where_usearch_is_missing():
    program = (
        "from search_service.engines.opening import *; check_installed('annoy')\n"
        "try: check_installed('graph')\n"
        "except EngineMissing as error: print(error)"
    )

    assert "which needs usearch: pip install '.[graph]' in a checkout" in said(program)
    assert said("import search_service.check, search_service.intake; print('fine')") == "fine\n"


def test_a_replica_without_usearch_refuses_a_graph_and_says_what_to_install(
    drawn, quick, store, tmp_path
):
    build(drawn(40), tmp_path / "built", quick(engine="graph"))
    publish(store, "dresses", tmp_path / "built")
    program = (
        "from pathlib import Path\n"
        "from search_service.build.publish import read_current\n"
        "from search_service.cache import Cache\n"
        "from search_service.apart import RefusedError\n"
        "from search_service.intake import Intake\n"
        "from search_service.store import Store\n"
        "store = Store(Path(sys.argv[1]))\n"
        "_, current = read_current(store, 'dresses')\n"
        "intake = Intake(store, Cache(Path(sys.argv[2])))\n"
        "try: intake.load('dresses', current.serving[0])\n"
        "except RefusedError as refused: print(refused.reason, refused.passing, refused)"
    )

    refused = said(program, store.root, tmp_path / "cache")

    assert refused.startswith("engine_missing False engine: expected one that is installed here")


def test_a_replica_with_it_serves_the_graph(drawn, quick, store, tmp_path):
    source = drawn(40)
    build(source, tmp_path / "built", quick(engine="graph"))
    publish(store, "dresses", tmp_path / "built")
    _, current = read_current(store, "dresses")

    generation = Intake(store, Cache(tmp_path / "cache")).load("dresses", current.serving[0])

    assert generation.manifest.base.engine == "graph"


def test_a_delta_of_a_graph_stands_on_the_projection_of_the_base(drawn, tmp_path):
    rows = sort_rows(drawn(100))
    projection = principal_directions(rows.vectors, 8, seed=3)

    choice = plant(
        "graph",
        rows.vectors,
        draw_golden(rows, 20, 0),
        tmp_path,
        projection=projection,
        trees=0,
        seed=0,
        threads=1,
    )

    assert (choice.engine, choice.width, choice.trees) == ("graph", 8, 0)
    assert (
        {path.name for path in tmp_path.iterdir()} == set(choice.files) == {"graph", "projection"}
    )
    assert (np.load(tmp_path / "projection") == projection).all()
    assert choice.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
