"""The script runs to its last line; what it measures here says nothing."""

import json

from benchmarks import embed_overload


def test_overload_is_measured_at_a_small_size(capsys):
    embed_overload.main(["--seconds", "0.2", "--milliseconds", "2", "--side", "32"])

    figures = json.loads(capsys.readouterr().out.splitlines()[-1])

    assert figures["peak_images"] > 0
    assert {"1x", "2x", "10x"} <= set(figures)
    assert figures["1x"]["other"] == 0
