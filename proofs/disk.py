"""A disk as POSIX promises it and no better: what may be on it after the power was cut.

Of a file, what was written since its last fsync may be there, be missing, or be there in part. Of a
folder, each name that was made, replaced or removed since the folder's last fsync may be as it was
or as it became, whatever became of other names: a rename may leave both names, or neither.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from math import prod
from pathlib import PurePosixPath
from random import Random

_TORN = 8  # parts of a write that may be there without the next


@dataclass
class File:
    """What a file held, since its last fsync; the latest last."""

    versions: list[bytes] = field(default_factory=lambda: [b""])

    def possible(self) -> list[bytes]:
        """Each of them, and the last write torn: its end missing, or room there and no data."""
        latest = self.versions[-1]
        if len(self.versions) == 1:
            return self.versions
        new = len(latest) - len(self.versions[-2])
        cuts = [len(latest) - new * part // _TORN for part in range(1, _TORN)]
        torn = [latest[:cut] for cut in cuts] + [
            latest[:cut] + bytes(len(latest) - cut) for cut in cuts
        ]
        return list(dict.fromkeys([*self.versions, *torn, bytes(len(latest))]))


@dataclass
class Folder:
    """What names stood for, since the folder's last fsync; the latest last, None for nothing."""

    names: dict[str, list["File | Folder | None"]] = field(default_factory=dict)

    def now(self, name: str) -> "File | Folder | None":
        return self.names.get(name, [None])[-1]

    def set(self, name: str, what: "File | Folder | None") -> None:
        self.names.setdefault(name, [None]).append(what)


State = dict[str, bytes | None]  # by path; None: a folder


class Disk:
    """Takes operations one by one; says at any time what a power cut may leave."""

    def __init__(self) -> None:
        self.root = Folder()

    def folder(self, path: str) -> Folder:
        found: File | Folder | None = self.root
        for name in PurePosixPath(path).parts:
            found = found.now(name) if isinstance(found, Folder) else None
        if not isinstance(found, Folder):
            raise TypeError(f"{path}: expected a folder")
        return found

    def parent(self, path: str) -> tuple[Folder, str]:
        parts = PurePosixPath(path)
        return self.folder(str(parts.parent)), parts.name

    def at(self, path: str) -> File | Folder | None:
        """What a path stands for now."""
        if PurePosixPath(path) == PurePosixPath("."):
            return self.root
        folder, name = self.parent(path)
        return folder.now(name)

    def make_folder(self, path: str) -> None:
        folder, name = self.parent(path)
        folder.set(name, Folder())

    def create(self, path: str, *, truncate: bool) -> None:
        folder, name = self.parent(path)
        there = folder.now(name)
        if there is None:
            folder.set(name, File())
        elif truncate and isinstance(there, File):
            there.versions.append(b"")

    def write(self, path: str, data: bytes) -> None:
        """At its end: nobody here writes anywhere else."""
        file = self.at(path)
        if isinstance(file, File):
            file.versions.append(file.versions[-1] + data)

    def sync(self, path: str) -> None:
        found = self.at(path)
        if isinstance(found, File):
            found.versions = found.versions[-1:]
        elif found is not None:
            found.names = {name: values[-1:] for name, values in found.names.items()}

    def rename(self, source: str, target: str) -> None:
        (old, old_name), (new, new_name) = self.parent(source), self.parent(target)
        new.set(new_name, old.now(old_name))
        old.set(old_name, None)

    def remove(self, path: str) -> None:
        folder, name = self.parent(path)
        folder.set(name, None)

    def after_power_cut(self, most: int, chance: Random) -> Iterator[State]:
        """All that may be there, or `most` of it: the oldest, the latest, the others by chance."""
        choices = list(_choices(self.root))
        if prod(map(len, choices)) <= most:
            for chosen in product(*choices):
                yield _state(self.root, iter(chosen))
            return
        yield _state(self.root, iter([each[0] for each in choices]))
        yield _state(self.root, iter([each[-1] for each in choices]))
        for _ in range(most - 2):
            # Most as it became, a few as they were, or the other way round.
            share = chance.choice((0.1, 0.5, 0.9))
            chosen = tuple(
                each[-1] if chance.random() < share else chance.choice(each) for each in choices
            )
            yield _state(self.root, iter(chosen))


def _choices(folder: Folder) -> Iterator[list[int]]:
    """For each name, and each file that a name may stand for, which of its values it may have."""
    for _, values in sorted(folder.names.items()):
        distinct = _distinct(values)
        yield list(range(len(distinct)))
        for value in distinct:
            if isinstance(value, Folder):
                yield from _choices(value)
            elif isinstance(value, File):
                yield list(range(len(value.possible())))


def _state(folder: Folder, chosen: Iterator[int], at: str = "") -> State:
    state: State = {}
    for name, values in sorted(folder.names.items()):
        distinct = _distinct(values)
        picked = next(chosen)
        for i, value in enumerate(distinct):
            path = f"{at}{name}"
            if isinstance(value, Folder):
                below = _state(value, chosen, f"{path}/")
                if i == picked:
                    state |= {path: None, **below}
            elif isinstance(value, File):
                content = value.possible()[next(chosen)]
                if i == picked:
                    state[path] = content
    return state


def _distinct(values: list[File | Folder | None]) -> list[File | Folder | None]:
    """By identity: two files are two, whatever they hold."""
    return list({id(value): value for value in values}.values())
