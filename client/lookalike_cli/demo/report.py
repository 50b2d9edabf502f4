"""The report: one page that holds everything, pictures included, to open or send around."""

import base64
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

from embedder_service.judging.page import environment, style
from lookalike_cli.demo.ending import Ending, not_judged, not_learnt
from lookalike_cli.demo.sheet import draw_grid
from lookalike_cli.demo.story import Story

GRID_COLUMNS = 10


def write_report(story: Story, ending: Ending) -> Path:
    """Writes report.html into the demo's folder."""
    source = resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    grid = story.out / "catalogue.jpg"
    draw_grid(grid, _one_photo_an_item(ending), GRID_COLUMNS)
    page = (
        environment()
        .from_string(source)
        .render(
            styles=style(),
            ending=ending,
            facts=story.facts,
            acts=[act for act in story.acts if act.seconds is not None],
            reservations=not_judged(ending.found) + not_learnt(ending.learned.rows),
            grid=_data_url(grid, "jpeg"),
            sheet=_data_url(story.out / "neighbours.png", "png"),
            made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        )
    )
    path = story.out / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _one_photo_an_item(ending: Ending) -> list[Path]:
    """Three rows of photos of different items, spread over the catalogue."""
    first = {photo.item_id: photo.path for photo in reversed(ending.catalogue.photos)}
    paths = list(first.values())
    step = max(1, len(paths) // (3 * GRID_COLUMNS))
    return paths[::step][: 3 * GRID_COLUMNS]


def _data_url(path: Path, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
