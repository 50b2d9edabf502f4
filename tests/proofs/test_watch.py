"""A few faults of `make proof-watch`, before a real Prometheus."""

import shutil
import time

import pytest

from proofs.asked import rare, without_data
from proofs.watch import CLOCK, watching
from proofs.watch_faults import QUICK_FAULTS


@pytest.mark.skipif(
    shutil.which("prometheus") is None,
    reason="prometheus is not installed (Debian's package prometheus): nothing is scraped",
)
def test_what_goes_wrong_under_load_is_seen_and_every_query_has_an_answer():
    begun = time.time()
    with watching(QUICK_FAULTS) as (seen, fleet):
        troubles = fleet.prometheus.troubles()
        empty = set(without_data(fleet.prometheus, CLOCK, begun, time.time()))

    assert seen.wrong == []
    assert troubles == []
    assert empty <= rare(CLOCK)
    assert fleet.answered > 0
