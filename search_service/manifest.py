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
from typing import Literal, TypeVar

import msgspec

SCHEMA = 1
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
SHA256 = re.compile(r"[0-9a-f]{64}")
GENERATIONS = re.compile(r"(\d{8})-([0-9a-f]{64})\.json")

EngineName = Literal["annoy", "exact"]
AttributeKind = Literal["string", "int64", "double", "bool", "timestamp", "strings"]


class FormatError(Exception):
    """A file of the store is not what it should be: *which, what was expected, what came*."""


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    """A file under blobs/, named by its content."""

    sha256: str
    bytes: int


class EffortPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A point of the curve that the builder measured."""

    effort: int  # annoy's search_k
    depth: int  # candidates compared exactly
    recall: float  # mean recall@10 against exact
    standard_error: float  # of that mean
    micros: float  # a query, one at a time, on the builder's machine


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """Vectors, ids, attributes and one engine's files."""

    photos: int
    items: int
    engine: EngineName
    trees: int
    width: int  # dimensions of the projection; 0 without one
    efforts: tuple[EffortPoint, ...]  # ascending; empty for exact
    blobs: dict[str, Blob]  # by role: vectors, items, photos; annoy also forest and projection


class AttributeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An attribute's name and type."""

    name: str
    kind: AttributeKind


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of pairs, and the similarity below which each share lies."""

    shares: tuple[float, ...]
    similarities: tuple[float, ...]


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """Queries with their exact answers, which a replica asks before it serves."""

    blob: Blob
    queries: int
    neighbours: int  # answers a query
    source: Literal["rows, own photo left out"]


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """The generation that was current when this one was published."""

    number: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable generation."""

    schema: int
    index: str
    number: int
    parent: Parent | None
    created: str  # RFC 3339, UTC
    space_id: str
    dimension: int
    segments: tuple[Segment, ...]
    attributes: tuple[AttributeSpec, ...]  # sorted by name
    same_item: Quantiles | None
    random_pair: Quantiles | None
    golden: Golden
    versions: dict[str, str]

    @property
    def segment(self) -> Segment:
        return self.segments[0]

    @property
    def created_at(self) -> datetime:
        return datetime.fromisoformat(self.created)

    @property
    def mapped_bytes(self) -> int:
        return sum(blob.bytes for blob in self.segment.blobs.values())

    def blobs(self) -> dict[str, Blob]:
        """Every blob that a replica needs, by sha256."""
        wanted = [*self.segment.blobs.values(), self.golden.blob]
        return {blob.sha256: blob for blob in wanted}


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What a build leaves for a publish: everything but a place in an index."""

    schema: int
    created: str  # RFC 3339, UTC
    space_id: str
    dimension: int
    segment: Segment
    attributes: tuple[AttributeSpec, ...]
    same_item: Quantiles | None
    random_pair: Quantiles | None
    golden: Golden
    versions: dict[str, str]


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


def encode(value: Manifest | Draft | Current | Hold) -> bytes:
    """Canonical JSON: the same value has the same bytes and so the same hash."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=1) + b"\n"


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def decode(data: bytes, kind: type[Kind], what: str) -> Kind:
    """Reads JSON of a known kind; `what` names it in the error."""
    try:
        value = msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise FormatError(f"{what}: expected {kind.__name__} as JSON, got {error}") from None
    if isinstance(value, Manifest | Draft | Current) and value.schema != SCHEMA:
        raise FormatError(f"{what}: expected schema {SCHEMA}, got {value.schema}")
    if isinstance(value, Manifest):
        _check_manifest(value, what)
    if isinstance(value, Current):
        _check_current(value, what)
    return value


def _check_manifest(manifest: Manifest, what: str) -> None:
    check_name(manifest.index, what)
    _check_sha(manifest.space_id, f"{what}: space_id")
    _check_moment(manifest.created, f"{what}: created")
    if len(manifest.segments) != 1:
        raise FormatError(f"{what}: expected 1 segment, got {len(manifest.segments)}")
    segment = manifest.segment
    roles = {"vectors", "items", "photos"}
    if segment.engine == "annoy":
        roles |= {"forest"} | ({"projection"} if segment.width else set())
    if segment.blobs.keys() != roles:
        raise FormatError(f"{what}: expected blobs {sorted(roles)}, got {sorted(segment.blobs)}")
    if segment.engine == "annoy" and not segment.efforts:
        raise FormatError(f"{what}: expected efforts for annoy, got none")
    if not 1 <= segment.items <= segment.photos or manifest.dimension < 1:
        raise FormatError(
            f"{what}: expected 1 <= items <= photos and a dimension, got "
            f"{segment.items}, {segment.photos}, {manifest.dimension}"
        )
    for blob in manifest.blobs().values():
        _check_sha(blob.sha256, f"{what}: blob")


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
    if moment.tzinfo is None:
        raise FormatError(f"{what}: expected a moment with its zone, got {value!r}")


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
