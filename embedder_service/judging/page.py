"""The page: one file that holds everything, pictures included, to open or send around."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import PurePath
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib import colormaps
from matplotlib.colors import to_hex

from embedder_service.judging import charts
from embedder_service.judging.changes import CHANGES
from embedder_service.judging.findings import Findings
from embedder_service.judging.pairs import RATES
from embedder_service.judging.thumbnails import Thumbnails, webp_uri
from embedder_service.judging.words import headline, not_judged
from embedder_service.training.data import Photo

_ATLAS_COLUMNS, _ATLAS_SIDE = 20, 44
_MOST_COLOURS = 20
_GRID = 36
_SHOWN_PAIRS = 18


def page(findings: Findings, photos: Sequence[Photo]) -> str:
    """HTML that asks nobody for anything. Raises what reading a photo raises."""
    thumbnails = Thumbnails(photos)
    colours = _colours(photos)
    template = environment().from_string(_text("page.html.j2"))
    return template.render(
        found=findings,
        headline=headline(findings),
        not_judged=not_judged(findings),
        thumb=thumbnails.uri,
        photo=thumbnails.photo,
        changed=thumbnails.changed,
        changes=list(CHANGES),
        rates=RATES,
        grid=_grid(photos),
        shown_pairs=_SHOWN_PAIRS,
        charts=charts,
        colours=colours,
        **_maps(findings, thumbnails, colours),
        styles=style() + _own("page.css"),
        script=_own("turning.js"),
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )


def environment() -> jinja2.Environment:
    """Escaping, strict, with the filters `percent`, `number`, and `ending` of a path."""
    made = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    made.filters["percent"] = percent
    made.filters["number"] = lambda count: f"{count:,}"
    made.filters["ending"] = lambda path: "/".join(PurePath(path).parts[-2:])
    return made


def style() -> Markup:
    """The look of the project's pages, light and dark."""
    return _own("style.css")


def percent(share: float | None) -> str:
    """Of a share that would be rounded away two places more are shown."""
    if share is None:
        return "–"
    return f"{share:.2%}" if 0 < share < 0.0005 else f"{share:.1%}"


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _own(name: str) -> Markup:
    return Markup(_text(name))  # noqa: S704 - our own


def _grid(photos: Sequence[Photo]) -> list[str]:
    """Photos of different items, spread over the catalogue."""
    first = {photo.item_id: photo.photo_id for photo in reversed(photos)}
    ids = sorted(first.values())
    return [ids[place * len(ids) // _GRID] for place in range(_GRID)] if len(ids) > _GRID else ids


def _colours(photos: Sequence[Photo]) -> dict[str, str]:
    """A colour a category, where there are few enough to be told apart."""
    names = sorted({photo.category for photo in photos if photo.category})
    if not 1 < len(names) <= _MOST_COLOURS:
        return {}
    palette = colormaps["tab10" if len(names) <= 10 else "tab20"]
    return {name: to_hex(palette(number)) for number, name in enumerate(names)}


def _maps(findings: Findings, thumbnails: Thumbnails, colours: dict[str, str]) -> dict[str, Any]:
    if findings.map is None:
        return {"flat": None, "deep": None}
    ids = findings.map.photo_ids
    framed = [colours.get(thumbnails.photo(each).category, "") for each in ids]
    squares = thumbnails.squares(ids, _ATLAS_SIDE)
    flat = charts.flat_map(squares, findings.map.flat.astype(np.float64), framed)
    deep = findings.map.deep
    return {
        "flat": webp_uri(flat),
        "deep": {
            "atlas": thumbnails.atlas(ids[: len(deep)], _ATLAS_COLUMNS, _ATLAS_SIDE),
            "columns": _ATLAS_COLUMNS,
            "side": _ATLAS_SIDE,
            "places": json.dumps(np.round(deep.astype(np.float64), 4).tolist()),
            "colours": json.dumps(framed[: len(deep)]),
        },
    }
