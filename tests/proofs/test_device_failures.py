"""docs/proofs.md, its failing devices, in their quick form."""

from proofs.device_failures import measure


def test_a_device_that_fails_or_hangs_is_told_by_health_by_its_call_and_by_the_exit_code():
    failures = measure(times=1)

    assert set(failures) == {"lost", "stuck"}
    for [failure] in failures.values():
        assert (failure.exit_code, failure.told) == (1, "DEVICE_FAILED")
