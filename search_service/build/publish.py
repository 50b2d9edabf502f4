"""Moves CURRENT: to a new generation, and back. Replicas follow; nothing here talks to them.

A publish writes each blob, then the manifest, then CURRENT by compare-and-swap: at every instant
CURRENT names complete generations. It holds the blobs' lock shared, so that no prune takes a blob
before the manifest names it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from search_service.build.build import DRAFT
from search_service.manifest import (
    GENERATIONS,
    SCHEMA,
    Blob,
    Current,
    Draft,
    Entry,
    FormatError,
    Hold,
    Manifest,
    Parent,
    blob_key,
    check_name,
    current_key,
    decode,
    digest,
    encode,
    hold_key,
    manifest_key,
)
from search_service.store import Changed, Store, StoreError


@dataclass(frozen=True)
class Published:
    """What a publish left: the manifest, and whether CURRENT names it (not while held)."""

    manifest: Manifest
    sha256: str
    is_current: bool


@dataclass(frozen=True)
class Listed:
    """One generation of an index, for people; no manifest where it is damaged."""

    number: int
    sha256: str
    manifest: Manifest | None
    is_current: bool


@dataclass(frozen=True)
class Moved:
    """CURRENT before and after a move, as bytes; None: there was none."""

    before: bytes | None
    after: bytes


def publish(
    store: Store, index: str, built: Path, *, only: bool = False, serve: bool = True
) -> Published:
    """Publishes what `build` left in a folder.

    The generation takes the place of the one of its space; one of a new space is served beside
    the others, after them. `only` drops the other spaces. Without `serve` CURRENT stays, for
    `move_to` to move.
    """
    check_name(index)
    draft = read_draft(built)
    with store.lock("blobs", shared=True):
        put_blobs(store, draft, built)
        with store.lock(f"indexes/{index}/generations"):
            return write_generation(store, index, draft, only=only, serve=serve)


def put_blobs(store: Store, draft: Draft, built: Path) -> None:
    """Copies in what was built; under the blobs' lock."""
    blobs = dict(draft.segments[-1].blobs)
    if draft.dead:
        blobs["dead"] = draft.dead.blob
    for role, blob in blobs.items():
        _put(store, built / role, blob)


def write_generation(
    store: Store,
    index: str,
    draft: Draft,
    *,
    only: bool = False,
    onto: Manifest | None = None,
    serve: bool = True,
) -> Published:
    """The manifest, then CURRENT; under both locks, after the blobs.

    onto: what the draft was made of. Changed if CURRENT was moved away from it meanwhile: a change
    of what was rolled back must not bring it back. Without `serve` CURRENT stays, for `move_to`.
    """
    manifest = _manifest(store, index, draft)
    if onto and (manifest.parent is None or manifest.parent.number != onto.number):
        raise _moved_away(index, onto)
    data = encode(manifest)
    sha256 = digest(data)
    store.put(manifest_key(index, manifest.number, sha256), data)
    is_current = serve and store.read_or_none(hold_key(index)) is None
    if is_current:
        _serve(store, index, _entry(manifest, sha256), only=only, onto=onto)
    return Published(manifest, sha256, is_current)


def move_to(store: Store, published: Published, *, only: bool = False) -> Moved | None:
    """Moves CURRENT to what was published without; None if its space was moved since then."""
    manifest = published.manifest
    key = current_key(manifest.index)
    with store.lock("blobs", shared=True):
        # A prune in between takes the manifest alone where others name the same blobs.
        read_manifest(store, manifest.index, manifest.number, published.sha256)
        _check_complete(store, manifest)
        before = store.read_or_none(key)
        if _predecessor(before, key, manifest.space_id) != manifest.parent:
            return None
        after = _moved(before, key, _entry(manifest, published.sha256), only=only)
        try:
            store.replace(key, after, before)
        except Changed:
            return None
    return Moved(before, after)


def move_back(store: Store, index: str, moved: Moved) -> bool:
    """Puts back what CURRENT was, where there was one and nobody has moved it since."""
    if moved.before is None:
        return False
    with store.lock("blobs", shared=True):
        key = current_key(index)
        for each in _entries(moved.before, key):
            manifest = read_manifest(store, index, each.generation, each.manifest_sha256)
            _check_complete(store, manifest)
        try:
            store.replace(key, moved.before, moved.after)
        except Changed:
            return False
    return True


def roll_back(store: Store, index: str, *, to: int | None = None) -> Manifest:
    """Moves CURRENT's first space back to its parent, or to the generation numbered `to`.

    That takes the place of the generation of its space, or else the first place. `to` also mends
    a CURRENT that cannot be read: the index then serves that generation alone.
    """
    check_name(index)
    with store.lock("blobs", shared=True):
        before, current = _read_to_move(store, index, mend=to is not None)
        target = _parent(store, index, current[0]) if to is None else _numbered(store, index, to)
        _check_complete(store, target[0])
        changed = Current(schema=SCHEMA, serving=_in_place(current, _entry(*target)))
        store.replace(current_key(index), encode(changed), before)
    return target[0]


def hold(store: Store, index: str, reason: str) -> Hold:
    """From here on publishes write, but CURRENT stays; rollback still moves it. StoreError."""
    _check_known(store, index)
    held = Hold(reason=reason, since=datetime.now(UTC).isoformat(timespec="seconds"))
    with store.lock("blobs", shared=True):
        store.put(hold_key(index), encode(held))
    return held


def held_by(store: Store, index: str) -> Hold | None:
    """The hold an index is on, if any."""
    data = store.read_or_none(hold_key(index))
    return None if data is None else decode(data, Hold, hold_key(index))


def check_not_held(store: Store, index: str) -> None:
    """StoreError while the index is on hold."""
    if held := held_by(store, index):
        raise StoreError(
            f"{index}: expected no hold, got one since {held.since} ({held.reason}): what is "
            "served now may not be what the next change has to build on"
        )


def release(store: Store, index: str) -> None:
    """Ends a hold. What was published meanwhile is not served until the next publish."""
    _check_known(store, index)
    store.delete(hold_key(index))


def listing(store: Store, index: str) -> list[Listed]:
    """The generations of an index, the newest first. What is damaged is listed as such.

    StoreError for a name that the store does not know.
    """
    _check_known(store, index)
    named = _named(store, index)
    return [
        Listed(number, sha256, _readable_manifest(store, index, number, sha256), sha256 in named)
        for number, sha256 in reversed(generation_names(store, index))
    ]


def _named(store: Store, index: str) -> set[str]:
    try:
        _, current = read_current(store, index)
    except (FormatError, StoreError):
        return set()  # nothing published, or damaged: `roll_back(to=...)` mends that
    return {entry.manifest_sha256 for entry in current.serving}


def _readable_manifest(store: Store, index: str, number: int, sha256: str) -> Manifest | None:
    try:
        return read_manifest(store, index, number, sha256)
    except (FormatError, OSError):
        return None


def read_current(store: Store, index: str) -> tuple[bytes, Current]:
    """CURRENT and its bytes, for a compare-and-swap. StoreError where nothing is published."""
    data = store.read_or_none(current_key(check_name(index)))
    if data is None:
        raise _unknown(store, index)
    return data, decode(data, Current, current_key(index))


def _check_known(store: Store, index: str) -> None:
    """A mistyped name must not be held, or released, in the place of the one that was meant."""
    if check_name(index) not in store.names("indexes"):
        raise _unknown(store, index)


def _unknown(store: Store, index: str) -> StoreError:
    known = ", ".join(store.names("indexes")) or "none"
    return StoreError(f"index: expected a published one ({known}), got {index}")


def read_manifest(store: Store, index: str, number: int, sha256: str) -> Manifest:
    key = manifest_key(index, number, sha256)
    data = store.read(key)
    if digest(data) != sha256:
        raise FormatError(f"{key}: expected SHA-256 {sha256}, got {digest(data)}")
    return decode(data, Manifest, key)


def generation_names(store: Store, index: str) -> list[tuple[int, str]]:
    """The number and hash of every manifest of an index, ascending."""
    names = store.names(f"indexes/{index}/generations")
    matches = (GENERATIONS.fullmatch(name) for name in names)
    return sorted((int(match[1]), match[2]) for match in matches if match)


def read_draft(built: Path) -> Draft:
    try:
        data = (built / DRAFT).read_bytes()
    except OSError as error:
        raise FormatError(
            f"{built / DRAFT}: expected what a build leaves, got {error.strerror}"
        ) from None
    return decode(data, Draft, f"{built}/{DRAFT}")


def _put(store: Store, path: Path, expected: Blob) -> None:
    # A delta builds on blobs that are published already.
    if not path.exists() and store.has_blob(expected):
        return
    try:
        got = store.put_blob(path)
    except FileNotFoundError as error:
        raise FormatError(f"{path}: expected what a build leaves, got {error.strerror}") from None
    if got != expected:
        raise FormatError(f"{path}: expected {expected.sha256} as built, got {got.sha256}")


def _manifest(store: Store, index: str, draft: Draft) -> Manifest:
    key = current_key(index)
    numbers = [number for number, _ in generation_names(store, index)]
    return Manifest(
        schema=SCHEMA,
        index=index,
        number=max(numbers, default=0) + 1,
        parent=_predecessor(store.read_or_none(key), key, draft.space_id),
        created=draft.created,
        space_id=draft.space_id,
        dimension=draft.dimension,
        segments=draft.segments,
        dead=draft.dead,
        attributes=draft.attributes,
        same_item=draft.same_item,
        random_pair=draft.random_pair,
        versions=draft.versions,
    )


def _as_parent(entry: Entry) -> Parent:
    return Parent(number=entry.generation, sha256=entry.manifest_sha256)


def _serve(store: Store, index: str, entry: Entry, *, only: bool, onto: Manifest | None) -> None:
    key = current_key(index)
    while True:
        before = store.read_or_none(key)
        if onto and onto.number not in {each.generation for each in _entries(before, key)}:
            raise _moved_away(index, onto)
        try:
            store.replace(key, _moved(before, key, entry, only=only), before)
        except Changed:
            continue  # a rollback moved it in between: look again
        return


def _moved_away(index: str, onto: Manifest) -> Changed:
    return Changed(f"{index}: expected CURRENT at {onto.number}, got it moved: try again")


def _entries(current: bytes | None, key: str) -> tuple[Entry, ...]:
    return () if current is None else decode(current, Current, key).serving


def _moved(before: bytes | None, key: str, entry: Entry, *, only: bool) -> bytes:
    """CURRENT with the entry in the place of its space, or else last; `only`: alone."""
    serving = () if only else _entries(before, key)
    named = any(each.space_id == entry.space_id for each in serving)
    after = _in_place(serving, entry) if named else (*serving, entry)
    return encode(Current(schema=SCHEMA, serving=after))


def _predecessor(before: bytes | None, key: str, space_id: str) -> Parent | None:
    """What a new generation of the space would replace."""
    entries = (each for each in _entries(before, key) if each.space_id == space_id)
    entry = next(entries, None)
    return _as_parent(entry) if entry else None


def _in_place(serving: tuple[Entry, ...], entry: Entry) -> tuple[Entry, ...]:
    """With `entry` for the one of its space, or for the first if there is none."""
    spaces = [each.space_id for each in serving]
    place = spaces.index(entry.space_id) if entry.space_id in spaces else 0
    return (*serving[:place], entry, *serving[place + 1 :])


def _read_to_move(store: Store, index: str, *, mend: bool) -> tuple[bytes, tuple[Entry, ...]]:
    try:
        before, current = read_current(store, index)
    except FormatError:
        data = store.read_or_none(current_key(check_name(index)))
        if data is None or not mend:
            raise
        return data, ()
    return before, current.serving


def _entry(manifest: Manifest, sha256: str) -> Entry:
    return Entry(space_id=manifest.space_id, generation=manifest.number, manifest_sha256=sha256)


def _parent(store: Store, index: str, entry: Entry) -> tuple[Manifest, str]:
    manifest = read_manifest(store, index, entry.generation, entry.manifest_sha256)
    parent = manifest.parent
    if parent is None:
        raise StoreError(
            f"{index}: expected a generation before {manifest.number} to go back to, got none"
        )
    return read_manifest(store, index, parent.number, parent.sha256), parent.sha256


def _numbered(store: Store, index: str, number: int) -> tuple[Manifest, str]:
    known = generation_names(store, index)
    for found, sha256 in known:
        if found == number:
            return read_manifest(store, index, found, sha256), sha256
    numbers = ", ".join(str(found) for found, _ in known) or "none"
    raise StoreError(f"{index}: expected one of the generations {numbers}, got {number}")


def _check_complete(store: Store, manifest: Manifest) -> None:
    there = set(store.names("blobs"))
    for blob in manifest.blobs().values():
        if blob.sha256 not in there:
            raise StoreError(f"{blob_key(blob.sha256)}: expected to be there, got pruned")
