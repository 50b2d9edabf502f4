import json
import subprocess
import sys


def test_the_cost_of_a_call_is_measured_at_a_small_size():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.rpc_cost", "--rows", "300", "--calls", "100"],
        capture_output=True,
        text=True,
        check=True,
    )

    figures = json.loads(done.stdout.splitlines()[-1])

    assert figures["served_micros"] > 0
    assert figures["echo_micros"] > 0
