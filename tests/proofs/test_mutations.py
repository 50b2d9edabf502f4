"""docs/proofs.md, its mutations, in their quick form: a few through a real server."""

from proofs.mutations import work


def test_damage_is_refused_by_a_server_that_goes_on_answering():
    tally = work(seed=1, mutations=4, victims=2)

    assert tally.wrong == []
    assert tally.became.total() == 4
    assert sum(count for (_, right, _), count in tally.became.items() if not right) == 2
    assert tally.calls["answered"] > 0
    assert tally.calls["failed"] == 0
