"""The proofs of what callers may do to a service, in their quick form."""

from proofs import abuse, fairness, rotation


def test_a_service_goes_on_after_attacks():
    figures = abuse.measure(("rapid_reset", "slow_connections"), seconds=0.2, rate=25)

    assert figures["serves_afterwards"]
    assert all(of["connections"] > 0 for of in figures["attacks"].values())


def test_a_caller_above_its_share_is_measured_beside_the_others():
    figures = fairness.measure(("search",), seconds=0.3, times=20, rows=500)["search"]

    assert figures["peak"] > 0  # what the others keep is for a machine of its own to say
    assert figures["fifth_sent"] >= figures["fifth_answered"]


def test_certificates_authorities_and_tokens_change_under_load_without_a_failed_call():
    figures = rotation.measure(rounds=1, pause_seconds=0)

    assert figures["failures"] == {}
    assert figures["refused_by_services"] == figures["changes_refused"] == 0
    assert figures["calls"] > 0
    assert figures["changes_taken"] >= figures["changes"] == 9
