"""docs/proofs.md, its soak, in its quick form."""

from proofs.soak import Soak


def test_swaps_and_strangers_fail_no_call_of_a_backend(tmp_path):
    soak = Soak(tmp_path, every_seconds=1.0)

    soak.run(seconds=1, rate=20, hostile=0.2)

    assert soak.failed(hostile=False) == 0
    assert len(soak.calls.calls) > 5
    assert soak.published in soak.served
