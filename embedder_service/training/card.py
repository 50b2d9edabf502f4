"""What goes beside the weights: the golden photos and the model card."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from embedder_service import images
from embedder_service.judging.evaluate import Figures, Row
from embedder_service.training.boxes import region_of
from embedder_service.training.data import Catalogue, Photo
from embedder_service.training.recipes import RECIPES
from embedder_service.training.settings import FinetuneSettings

_GOLDEN_SIDE = 512  # pixels; larger photos are kept smaller
_COLUMNS = (
    ("item recall@1", "item_recall_at_1"),
    ("of new items", "new_item_recall_at_1"),
    ("item precision@10", "item_precision_at_10"),
    ("category recall@1", "category_recall_at_1"),
    ("category precision@10", "category_precision_at_10"),
)

_CARD = """\
# {backbone}, recipe `{recipe}`

A photo in, {dimension} numbers out: near each other where two photos show the same item, or items
of one kind.

## Data

- {photos} photos of {items} items in {categories} categories
- {train} to train on, {val} to validate, {test} to test; {new_items} items are in the test alone

## Recipe

- {epochs} epochs ({sides}) in batches of {batch}
- one cycle up to a rate of {rate:g} at the head
- gradients of a norm of {clip:g} at most{average}{patience}
- weights at the start: {weights}; seed {seed}

## Figures

{queries} held-out photos, looked for among {gallery} others by cosine.

{figures}

## Limits

- Judged on photos like those it learnt from: other photographs, other figures.
- The vectors compare with those of the same space only.
- It sees {side} x {side} pixels: finer details are lost.
"""


def golden_photos(catalogue: Catalogue, count: int = 8) -> list[bytes]:
    """Photos of items as unlike as the catalogue has them, as JPEG files."""
    first = {photo.item_id: photo for photo in reversed(catalogue.photos)}
    by_category = sorted(first.values(), key=lambda photo: (photo.category, photo.item_id))
    count = min(count, len(by_category))
    chosen = [
        by_category[(2 * place + 1) * len(by_category) // (2 * count)] for place in range(count)
    ]
    return [_jpeg(photo) for photo in chosen]


def model_card(catalogue: Catalogue, settings: FinetuneSettings, rows: Sequence[Row]) -> str:
    """Data, recipe, figures and limits, as Markdown."""
    return _CARD.format(
        backbone=settings.backbone,
        recipe=settings.recipe,
        dimension=settings.vector_dimension,
        rate=settings.rate or RECIPES[settings.recipe].peak_rate,
        clip=settings.clip,
        average=f", weights averaged at {settings.average:g}" if settings.average else "",
        patience=f", patience of {settings.patience} epochs" if settings.patience else "",
        photos=len(catalogue.photos),
        items=len(catalogue.items),
        categories=len(catalogue.categories),
        train=len(catalogue.of("train")),
        val=len(catalogue.of("val")),
        test=len(catalogue.of("test")),
        new_items=len(catalogue.new_items),
        epochs=settings.epochs,
        batch=settings.batch,
        sides=_sides(settings),
        weights=settings.weights,
        seed=settings.seed,
        queries=len(catalogue.queries),
        gallery=len(catalogue.gallery),
        figures="\n".join(figure_lines(rows)),
        side=settings.side,
    )


def figure_lines(rows: Sequence[Row]) -> list[str]:
    """The figures as a Markdown table; a dash where the labels cannot say."""
    titles = ["", *(title for title, _ in _COLUMNS)]
    return [
        _table_line(titles),
        _table_line(["---"] * len(titles)),
        *(_table_line([row.name, *_cells(row.figures)]) for row in rows),
    ]


def _sides(settings: FinetuneSettings) -> str:
    counts = Counter(settings.side_in(number) for number in range(1, settings.epochs + 1))
    return ", then ".join(f"{epochs} at side {side}" for side, epochs in sorted(counts.items()))


def _cells(figures: Figures) -> list[str]:
    known = figures.as_dict()
    return [f"{known[name]:.3f}" if name in known else "–" for _, name in _COLUMNS]


def _table_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _jpeg(photo: Photo) -> bytes:
    content = photo.path.read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        if image.format == "JPEG" and max(image.size) <= _GOLDEN_SIDE and photo.box is None:
            return content
        upright = ImageOps.exif_transpose(image).convert("RGB")
    if photo.box is not None:
        inside = images.cut(np.asarray(upright), region_of(photo.box, upright.size))
        upright = Image.fromarray(np.ascontiguousarray(inside))
    upright.thumbnail((_GOLDEN_SIDE, _GOLDEN_SIDE))
    file = io.BytesIO()
    upright.save(file, "JPEG", quality=92)
    return file.getvalue()
