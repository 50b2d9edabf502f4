"""Work in processes of its own."""

import pytest

from search_service.apart import RefusedError, run_apart


@pytest.mark.parametrize(("work", "passing"), [("check", False), ("fetch", True)])
def test_what_takes_too_long_is_ended_and_passes_only_where_no_file_can_be_the_cause(work, passing):
    with pytest.raises(RefusedError) as refused:
        run_apart(work, "store", "cache", seconds=0.0, passing=passing)

    assert (refused.value.reason, refused.value.passing) == (f"{work}_hung", passing)
