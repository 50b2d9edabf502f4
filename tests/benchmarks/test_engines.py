import json
import subprocess
import sys

from benchmarks.curves import Curve, draw


def test_the_comparison_runs_at_a_small_size_and_keeps_nothing():
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.engines"),
            *("--rows", "2500", "--queries", "50", "--sets", "easy"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    figures = json.loads(done.stdout.splitlines()[-1])

    assert figures["rows"] == 2500
    assert figures["annoy_speedup_at_099"] > 0
    assert figures["graph_speedup_at_099"] > 0
    assert "annoy as it comes" in done.stdout


def test_curves_are_drawn(tmp_path):
    curves = [Curve(name, [0.5, 0.9, 0.99, 1.0], [900, 500, 90, 9]) for name in ("a", "b", "c")]

    draw(curves, "easy: 100 vectors", tmp_path, "easy")

    assert curves[0].speed_at(0.95) == 90
    assert (tmp_path / "curves-easy.png").stat().st_size > 5_000
