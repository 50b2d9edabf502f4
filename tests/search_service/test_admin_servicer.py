"""What an operator asks one replica."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from lookalike.search.v1 import admin_pb2 as pb

from lookalike_kit.errors import Overloaded
from search_service.admin_servicer import IndexAdminServicer
from search_service.loader import Promoted, Refusal


@dataclass
class Looking:
    """A loader that looks for as long as it is held."""

    generation: object
    go_on: threading.Event
    inside: threading.Event

    refusals = (Refusal("shoes", 3, "c" * 64, "hash_mismatch", "why", datetime.now(UTC)),)

    def look(self, *, again=False):
        assert again
        self.inside.set()
        assert self.go_on.wait(20)

    def served(self):
        return [Promoted(self.generation, datetime.now(UTC), is_current=True)]


@pytest.fixture
def loader(opened, forest_build):
    return Looking(opened(forest_build), threading.Event(), threading.Event())


@pytest.fixture
def admin(loader):
    return IndexAdminServicer(loader, version="1.2.3", is_ready=lambda: True)


def test_a_status_says_what_is_served_and_what_was_refused_and_why(admin, loader):
    status = admin.GetStatus(pb.GetStatusRequest(), None)

    (loaded,) = status.loaded
    assert (loaded.index, loaded.generation, loaded.is_current) == ("dresses", 1, True)
    assert (loaded.photo_count, loaded.item_count) == (1200, 400)
    assert loaded.manifest_sha256 == loader.generation.sha256
    assert loaded.mapped_bytes > 1200 * 32 * 4
    (refused,) = status.refused
    assert (refused.index, refused.generation, refused.reason) == ("shoes", 3, "hash_mismatch")
    assert (status.ready, status.version) == (True, "1.2.3")


def test_one_refresh_at_a_time_or_health_would_have_no_thread_left(admin, loader):
    first = threading.Thread(target=admin.Refresh, args=(pb.RefreshRequest(), None))
    first.start()
    assert loader.inside.wait(20)

    with pytest.raises(Overloaded, match="one at a time"):
        admin.Refresh(pb.RefreshRequest(), None)
    assert admin.GetStatus(pb.GetStatusRequest(), None).loaded

    loader.go_on.set()
    first.join()
    assert admin.Refresh(pb.RefreshRequest(), None).status.ready
