"""docs/proofs.md, its SIGTERMs, in their quick form."""

from proofs.stops import measure


def test_what_is_in_flight_at_a_sigterm_is_answered_and_the_process_ends_well():
    stops = measure(times=1)

    assert set(stops) == {"embedder", "search"}
    for stop in (stops["embedder"][0], stops["search"][0]):
        assert (stop.lost, stop.exit_code) == (0, 0)
        assert stop.in_flight > 0
        assert stop.not_serving_ms < float("inf")
