"""docs/proofs.md, its bad networks, in their quick form."""

from proofs.faults import measure


def test_what_a_bad_network_does_to_calls_ends_with_their_time_and_with_the_network():
    names = ["quiet", "one reset at once", "all black holes", "all reset every 2 s"]

    told, extra = measure(names, seconds=1.0, rate=40, pause_seconds=0.5)

    for name in ("quiet", "one reset at once", "all reset every 2 s"):
        assert told[name].answered > 0.5
    # It ends as the first calls' deadlines do: what came in its middle waited for half a second.
    assert told["all black holes"].p50_ms > 250
    assert all(each.calls > 10 for each in told.values())
    assert extra < 0.5  # of so few calls the budget for retries is a large part
