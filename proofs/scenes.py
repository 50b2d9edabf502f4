"""Everything that writes to a store, each from a store as it is before: what proofs interrupt."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from proofs.catalogue import build_of, change, take_out
from search_service.build import compact, hold, prune, publish, release, roll_back
from search_service.store import Store

INDEX = "dresses"
ITEM = "0005"  # in every generation of every scene


@dataclass(frozen=True)
class Builds:
    """Two builds to publish, and one for whoever goes on afterwards."""

    first: Path
    second: Path
    next: Path

    @classmethod
    def make(cls, folder: Path) -> "Builds":
        return cls(
            build_of("projected", folder / "first", seed=1),
            build_of("forest", folder / "second", seed=2),
            build_of("exact", folder / "next", seed=3),
        )


@dataclass(frozen=True)
class Scene:
    """A store as it is before, and what is done to it."""

    name: str
    before: Callable[[Store], object]
    work: Callable[[Store], object]


def scenes(builds: Builds) -> tuple[Scene, ...]:
    """Every verb that writes, over an empty store, a plain one, one with a delta, one on hold."""

    def published(store: Store) -> None:
        publish(store, INDEX, builds.first)

    def changed(store: Store) -> None:
        published(store)
        change(store, INDEX, items=["0001", "0003"], added=3, seed=7)
        take_out(store, INDEX, ["0001", "0002"])

    def held(store: Store) -> None:
        published(store)
        hold(store, INDEX, "the proof")

    def aged(store: Store) -> None:
        """Generations that a prune takes, and one that was rolled back from."""
        changed(store)
        publish(store, INDEX, builds.second)
        publish(store, INDEX, builds.first)
        change(store, INDEX, items=["0001"], added=1, seed=8)
        roll_back(store, INDEX)

    def publish_second(store: Store) -> None:
        publish(store, INDEX, builds.second)

    return (
        Scene("publish, first", lambda store: store.root.mkdir(), published),
        Scene("publish, again", published, publish_second),
        Scene("publish, on hold", held, publish_second),
        Scene("add", published, lambda s: change(s, INDEX, items=["0001"], added=3, seed=7)),
        Scene("add, again", changed, lambda s: change(s, INDEX, items=["0003"], added=3, seed=9)),
        Scene("remove", changed, lambda s: take_out(s, INDEX, ["0003", "0006"])),
        Scene("compact", changed, lambda s: compact(s, INDEX, threads=1)),
        Scene("rollback", changed, lambda s: roll_back(s, INDEX)),
        Scene("hold", published, lambda s: hold(s, INDEX, "the proof")),
        Scene("release", held, lambda s: release(s, INDEX)),
        Scene("prune", aged, lambda s: prune(s, keep=1, grace_seconds=0)),
    )


def new_store(template: Path, root: Path) -> Store:
    """A store of its own in a new folder, as the template is."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(template, root)
    return Store(root)
