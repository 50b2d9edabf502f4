import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.rivals import Contestant, Failed, least, ratios
from benchmarks.rivals_client import recall, tree_cpu_seconds


def test_a_rival_is_asked_at_the_least_effort_that_reaches_the_recall():
    tried = [
        {"effort": 16, "qps": 900.0, "recall": 0.984},
        {"effort": 32, "qps": 500.0, "recall": 0.996},
        {"effort": 24, "qps": 400.0, "recall": 0.991},
    ]

    assert least(tried) == 24
    assert least(tried[:1]) == 16


def test_no_ratio_is_given_for_what_falls_short_of_the_recall():
    medians = {
        ("ours-fastest", 1): {"qps": 900.0, "recall": 0.993},
        ("milvus", 1): {"qps": 300.0, "recall": 0.990},
        ("pgvector", 1): {"qps": 600.0, "recall": 0.989},
    }

    assert ratios(medians) == {
        "vs_milvus_8_clients": 3.0,
        "vs_pgvector_8_clients": None,
        "vs_milvus_batch": None,
    }


def test_recall_is_the_share_of_the_true_nearest_over_all_answers():
    nearest = np.array([[1, 2], [3, 4], [5, 6]])

    assert recall([(0, [[2, 1], [3, 9]]), (2, [[8, 9]])], nearest) == pytest.approx(0.5)


def test_the_cpu_of_a_server_is_that_of_its_whole_tree():
    # The kernel counts in whole ticks of 10 ms, and what is left of one nowhere.
    burn = "import time\nwhile time.process_time() < 0.25: pass"
    parent = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {burn!r}])"
    shell = [sys.executable, "-c", f"{parent}; print(flush=True); time.sleep(60)"]
    with subprocess.Popen(shell, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()  # the child has ended by now
        seconds = tree_cpu_seconds((process.pid,))
        process.kill()

    assert seconds >= 0.2
    assert tree_cpu_seconds((os.getpid(),)) > 0


def test_a_rival_that_is_not_installed_is_said_to_be_missing(tmp_path):
    rival = Contestant("milvus", "benchmarks.rivals_milvus", tmp_path / "python", (16,), (1,))

    with pytest.raises(Failed, match="bench-rivals"):
        rival.run(tmp_path, "build")


def test_a_server_that_fails_is_reported_by_its_last_words(tmp_path):
    ours = Contestant("ours-annoy", "benchmarks.rivals_ours", Path(sys.executable), (0,), (1,))

    with pytest.raises(Failed, match=r"vectors\.npy"):
        ours.run(tmp_path, "build")
