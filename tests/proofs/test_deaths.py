"""docs/proofs.md, its kill -9 of replicas, in its quick form."""

from proofs.deaths import measure


def test_the_death_of_one_of_two_replicas_is_out_of_sight_and_it_comes_back_as_it_was():
    found = measure(kills=2, callers=16, pauses_seconds=(0.1, 0.2))

    assert found.failed == 0
    assert found.calls > 100
    assert [back.generation for back in found.backs] == [None, 2]
    assert found.checks_killed == 2
