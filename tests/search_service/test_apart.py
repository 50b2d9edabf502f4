"""Work in processes of its own."""

import subprocess
import sys

import pytest

from search_service.apart import RefusedError, run_apart


@pytest.mark.parametrize(("work", "passing"), [("check", False), ("fetch", True)])
def test_what_takes_too_long_is_ended_and_passes_only_where_no_file_can_be_the_cause(work, passing):
    with pytest.raises(RefusedError) as refused:
        run_apart(work, "store", "cache", seconds=0.0, passing=passing)

    assert (refused.value.reason, refused.value.passing) == (f"{work}_hung", passing)


def test_that_a_process_cannot_begin_is_no_files_fault():
    with pytest.raises(RefusedError, match="No module named") as refused:
        run_apart("absent", seconds=60)

    assert (refused.value.reason, refused.value.passing) == ("absent_crashed", True)


def test_such_a_process_takes_no_more_of_a_core_than_it_may():
    program = """
import time
from search_service.apart import resting

begun, worked = time.monotonic(), time.process_time()
with resting(0.25):
    while time.process_time() - worked < 0.2:
        pass
print((time.process_time() - worked) / (time.monotonic() - begun))
"""
    child = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )

    assert float(child.stdout) <= 0.3  # the last bit is not rested from


def test_a_signal_within_a_rest_ends_nothing():
    program = """
import signal, time
from search_service.apart import resting

process_time, calls = time.process_time, []

def interrupted():
    now = process_time()
    calls.append(now)
    if len(calls) == 2:  # the first rest has just looked at the clock
        signal.raise_signal(signal.SIGPROF)
    return now

time.process_time = interrupted
with resting(0.5):
    while len(calls) < 6:
        pass
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
