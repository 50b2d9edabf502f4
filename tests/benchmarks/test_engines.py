import json

from benchmarks import engines
from benchmarks.curves import Curve, draw


def test_the_comparison_runs_at_a_small_size(capsys):
    engines.main(["--rows", "300", "--queries", "20", "--sets", "easy"])

    lines = capsys.readouterr().out.splitlines()
    figures = json.loads(lines[-1])

    assert figures["rows"] == 300
    assert figures["annoy_speedup_at_099"] > 0
    assert figures["graph_speedup_at_099"] > 0
    assert 0 < figures["variance_in_64_easy"] < 1
    assert any("annoy as it comes" in line for line in lines)


def test_the_points_of_an_engine_lie_closer_where_the_target_is_passed():
    def point(effort: int) -> engines.Point:
        return engines.Point(effort, 10, min(0.99, effort / 1_000), lambda query: query)

    points = engines._climb(point, (100, 500, 900, 1_300, 1_700), target=0.8)

    assert [each.effort for each in points] == [100, 500, 579, 671, 777, 900, 1_300, 1_700]


def test_curves_are_drawn(tmp_path):
    curves = [Curve(name, [0.5, 0.9, 0.99, 1.0], [900, 500, 90, 9]) for name in ("a", "b", "c")]

    draw(curves, "easy: 100 vectors", tmp_path, "easy")

    assert curves[0].speed_at(0.95) == 90
    assert (tmp_path / "curves-easy.png").stat().st_size > 5_000
