import json
import subprocess
import sys


def test_the_comparison_runs_at_a_small_size_and_keeps_nothing():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.annoy_speed", "--rows", "2000", "--queries", "50"],
        capture_output=True,
        text=True,
        check=True,
    )

    figures = json.loads(done.stdout.splitlines()[-1])

    assert figures["rows"] == 2000
    assert figures["annoy_speedup_easy_at_0.99"] > 0
    assert "all dimensions (stock)" in done.stdout
