"""The on-disk format: what manifests and CURRENT say, and the keys under which a store keeps them.

```
indexes/<index>/CURRENT                            which generations are served, one a space
indexes/<index>/HOLD                               publishes write, but CURRENT stays
indexes/<index>/generations/<number>-<hash>.json   manifests
blobs/<sha256>                                     what the manifests name, by content
models/<space_id>/                                 the embedder's models
```
Nothing that CURRENT reaches is ever written again; docs/format.md has the roles of the blobs.
"""

import hashlib
import re
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar

import msgspec

SCHEMA = 2
PREVIOUS_SCHEMA = 1  # read, never written
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
SHA256 = re.compile(r"[0-9a-f]{64}")
GENERATIONS = re.compile(r"(\d{8})-([0-9a-f]{64})\.json")

EngineName = Literal["annoy", "exact", "graph"]
AttributeKind = Literal["string", "int64", "double", "bool", "timestamp", "strings"]
Counted = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]  # annoy counts in int32
OrNone = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class FormatError(Exception):
    """A file of the store is not what it should be: *which, what was expected, what came*."""


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    """A file under blobs/, named by its content."""

    sha256: str
    bytes: Annotated[int, msgspec.Meta(ge=0)]


class EffortPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A point of the curve that the builder measured."""

    effort: Counted  # annoy's search_k, the graph's ef
    depth: Counted  # candidates compared exactly
    recall: Share  # mean recall@10 against exact
    standard_error: Share  # of that mean
    micros: float  # a query, one at a time, on the builder's machine

    @property
    def sure_recall(self) -> float:
        """What the queries prove: three standard errors below their mean."""
        return self.recall - 3 * self.standard_error


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """Queries with their exact answers, which a replica asks before it serves."""

    queries: Counted
    neighbours: Counted  # answers a query
    source: Literal["rows, own item left out"]


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """Vectors, ids, attributes, one engine's files, and queries that prove them."""

    photos: Counted
    items: Counted
    engine: EngineName
    trees: OrNone  # 0 without a forest
    width: OrNone  # dimensions of the projection; 0 without one
    efforts: tuple[EffortPoint, ...]  # ascending; empty for exact
    golden: Golden
    blobs: dict[str, Blob]  # by role, see ROLES

    def effort_for(self, recall: float) -> EffortPoint | None:
        """The least effort that surely reached the recall at the build; else the most.

        None where no effort is needed: all vectors are compared.
        """
        if not self.efforts:
            return None
        return next(
            (point for point in self.efforts if point.sure_recall >= recall), self.efforts[-1]
        )


ROLES: dict[EngineName, frozenset[str]] = {
    "annoy": frozenset({"forest"}),
    "exact": frozenset(),
    "graph": frozenset({"graph"}),
}
_ROLES_OF_ALL = frozenset({"vectors", "items", "photos", "golden"})  # and projection, with a width


class Dead(msgspec.Struct, frozen=True, kw_only=True):
    """Items of the base segment that are not there any more: removed, or new in the delta."""

    blob: Blob  # .npy of bytes, numpy.packbits over the base's items
    items: Counted
    photos: Counted


class AttributeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An attribute's name and type."""

    name: str
    kind: AttributeKind


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of pairs, and the similarity below which each share lies."""

    shares: tuple[float, ...]
    similarities: tuple[float, ...]


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """The generation that was current when this one was published."""

    number: int
    sha256: str


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What a build leaves for a publish: everything but a place in an index.

    The first segment is the base. A second is the delta: what was added or changed since, rewritten
    whole by each change; the base's items that it replaces are dead.
    """

    schema: int
    created: str  # RFC 3339, UTC
    space_id: str
    dimension: Counted
    segments: tuple[Segment, ...]
    dead: Dead | None
    attributes: tuple[AttributeSpec, ...]  # sorted by name
    same_item: Quantiles | None
    random_pair: Quantiles | None
    versions: dict[str, str]

    @property
    def base(self) -> Segment:
        return self.segments[0]

    @property
    def delta(self) -> Segment | None:
        return self.segments[1] if len(self.segments) > 1 else None

    @property
    def photos(self) -> int:
        """How many are searched."""
        gone = self.dead.photos if self.dead else 0
        return sum(segment.photos for segment in self.segments) - gone

    @property
    def items(self) -> int:
        """How many are searched."""
        gone = self.dead.items if self.dead else 0
        return sum(segment.items for segment in self.segments) - gone

    @property
    def changed_share(self) -> float:
        """How much of the base is dead or added to: past 0.05 a rebuild is due."""
        gone = self.dead.photos if self.dead else 0
        added = self.delta.photos if self.delta else 0
        return max(gone, added) / self.base.photos

    @property
    def created_at(self) -> datetime:
        return datetime.fromisoformat(self.created)

    @property
    def mapped_bytes(self) -> int:
        return sum(blob.bytes for blob in self.blobs().values())

    def blobs(self) -> dict[str, Blob]:
        """Every blob that a replica needs, by sha256."""
        wanted = [blob for segment in self.segments for blob in segment.blobs.values()]
        if self.dead:
            wanted.append(self.dead.blob)
        return {blob.sha256: blob for blob in wanted}


class Manifest(Draft, frozen=True, kw_only=True):
    """One immutable generation."""

    index: str
    number: int
    parent: Parent | None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One served generation."""

    space_id: str
    generation: int
    manifest_sha256: str


class Current(msgspec.Struct, frozen=True, kw_only=True):
    """What an index serves; the first entry answers queries by item id."""

    schema: int
    serving: tuple[Entry, ...]


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Why and since when CURRENT stays where it is."""

    reason: str
    since: str  # RFC 3339, UTC


Kind = TypeVar("Kind", Manifest, Draft, Current, Hold)


def encode(value: Segment | Draft | Current | Hold) -> bytes:
    """Canonical JSON: the same value has the same bytes and so the same hash."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=1) + b"\n"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def decode(data: bytes, kind: type[Kind], what: str) -> Kind:
    """Reads JSON of a known kind, of this schema or the one before; `what` names it in the error.

    FormatError.
    """
    try:
        raw = msgspec.json.decode(data)
        if kind is not Hold:
            raw = _of_this_schema(raw, f"{what}: expected {kind.__name__}")
        value = msgspec.convert(raw, kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{what}: expected {kind.__name__} as JSON, got {error}") from None
    if isinstance(value, Manifest):
        check_name(value.index, f"{what}: index")
    if isinstance(value, Draft):
        _check_generation(value, what)
    if isinstance(value, Current):
        _check_current(value, what)
    return value


def _of_this_schema(raw: object, what: str) -> object:
    if not isinstance(raw, dict) or raw.get("schema") == SCHEMA:
        return raw
    if raw.get("schema") != PREVIOUS_SCHEMA:
        raise FormatError(
            f"{what} of schema {PREVIOUS_SCHEMA} or {SCHEMA}, got {raw.get('schema')!r}"
        )
    return _from_schema_1(raw)


def _from_schema_1(raw: dict[str, Any]) -> dict[str, Any]:
    """One segment, whose golden queries stood beside it, and nothing dead."""
    new = {**raw, "schema": SCHEMA}
    match raw:
        case {"golden": {"blob": blob, **golden}, "segments": [{"blobs": {**blobs}, **segment}]}:
            del new["golden"]
            whole = {**segment, "golden": golden, "blobs": {**blobs, "golden": blob}}
            new |= {"segments": [whole], "dead": None}
    return new


def _check_generation(value: Draft, what: str) -> None:
    _check_sha(value.space_id, f"{what}: space_id")
    _check_moment(value.created, f"{what}: created")
    if not 1 <= len(value.segments) <= 2:
        raise FormatError(f"{what}: expected 1 or 2 segments, got {len(value.segments)}")
    for segment in value.segments:
        _check_segment(segment, what)
    if value.items < 1 or value.photos < value.items:
        raise FormatError(
            f"{what}: expected at least one item that is not dead, with a photo each, got "
            f"{value.items} items and {value.photos} photos"
        )
    names = [attribute.name for attribute in value.attributes]
    if not all(left < right for left, right in pairwise(["", *names])):
        raise FormatError(f"{what}: expected attributes in order, each once, got {names}")
    for sha256 in value.blobs():
        _check_sha(sha256, f"{what}: blob")


def _check_segment(segment: Segment, what: str) -> None:
    if segment.items > segment.photos:
        raise FormatError(
            f"{what}: expected at most one item a photo, got {segment.items} items and "
            f"{segment.photos} photos"
        )
    roles = _ROLES_OF_ALL | ROLES[segment.engine]
    if segment.width:
        roles |= {"projection"}
    if segment.blobs.keys() != roles:
        raise FormatError(f"{what}: expected blobs {sorted(roles)}, got {sorted(segment.blobs)}")
    if bool(segment.efforts) == (segment.engine == "exact"):
        raise FormatError(
            f"{what}: expected efforts for an engine and none for exact, got "
            f"{len(segment.efforts)} for {segment.engine}"
        )
    if bool(segment.trees) != (segment.engine == "annoy"):
        raise FormatError(f"{what}: expected trees for annoy alone, got {segment.trees}")
    if segment.width and segment.engine == "exact":
        raise FormatError(f"{what}: expected no width for exact, got {segment.width}")


def _check_current(current: Current, what: str) -> None:
    if not current.serving:
        raise FormatError(f"{what}: expected at least one generation, got none")
    spaces = [entry.space_id for entry in current.serving]
    if len(set(spaces)) != len(spaces):
        raise FormatError(f"{what}: expected one generation a space, got {spaces}")
    for entry in current.serving:
        _check_sha(entry.space_id, f"{what}: space_id")
        _check_sha(entry.manifest_sha256, f"{what}: manifest_sha256")


def _check_sha(value: str, what: str) -> None:
    if not SHA256.fullmatch(value):
        raise FormatError(f"{what}: expected 64 hexadecimal digits, got {value[:80]!r}")


def _check_moment(value: str, what: str) -> None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise FormatError(f"{what}: expected a moment of RFC 3339, got {value[:80]!r}") from None
    if moment.tzinfo is None or not 1970 < moment.year < 9999:
        raise FormatError(f"{what}: expected a moment with its zone, got {value[:80]!r}")


def check_name(name: str, what: str = "index") -> str:
    """An index's name, or FormatError: names become folders and labels."""
    if not NAME.fullmatch(name):
        raise FormatError(f"{what}: expected a name like [a-z0-9][a-z0-9-]{{0,62}}, got {name!r}")
    return name


def current_key(index: str) -> str:
    return f"indexes/{index}/CURRENT"


def hold_key(index: str) -> str:
    return f"indexes/{index}/HOLD"


def manifest_key(index: str, number: int, sha256: str) -> str:
    return f"indexes/{index}/generations/{number:08d}-{sha256}.json"


def blob_key(sha256: str) -> str:
    return f"blobs/{sha256}"
