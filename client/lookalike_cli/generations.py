"""A generation as a row of a table, and as JSON."""

from datetime import UTC, datetime

from search_service.build import Listed
from search_service.manifest import Manifest

COLUMNS = ("no ", "", "parent ", "built", "space", "photos ", "items ", "engine", "delta ")


def row(listed: Listed) -> tuple[object, ...]:
    """What the columns say; delta: how much of the base is dead or added to."""
    state = "CURRENT" if listed.is_current else ""
    manifest = listed.manifest
    if manifest is None:
        return listed.number, state, "", "damaged", "", "", "", "", ""
    return (
        listed.number,
        state,
        manifest.parent.number if manifest.parent else "",
        f"{manifest.created_at:%Y-%m-%d %H:%M}Z",
        manifest.space_id[:8],
        f"{manifest.photos:,}",
        f"{manifest.items:,}",
        manifest.base.engine,
        f"{manifest.changed_share:.1%}" if manifest.changed_share else "",
    )


def listed_json(index: str, listed: Listed) -> dict[str, object]:
    if listed.manifest is not None:
        return manifest_json(listed.manifest, listed.sha256)
    return {
        "index": index,
        "generation": listed.number,
        "manifest_sha256": listed.sha256,
        "damaged": True,
    }


def manifest_json(manifest: Manifest, sha256: str) -> dict[str, object]:
    age = datetime.now(UTC) - manifest.created_at
    return {
        "index": manifest.index,
        "generation": manifest.number,
        "manifest_sha256": sha256,
        "space_id": manifest.space_id,
        "created": manifest.created,
        "age_seconds": round(age.total_seconds()),
        "photos": manifest.photos,
        "items": manifest.items,
        "engine": manifest.base.engine,
        "parent": manifest.parent.number if manifest.parent else None,
        "changed_share": round(manifest.changed_share, 4),
    }
