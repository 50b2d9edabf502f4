"""Classes, items, both or neither: what each reader finds, and what a training makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from embedder_service.training.data import Catalogue
from embedder_service.training.read import read_catalogue
from embedder_service.training.recipes import RECIPES, Labels

pytestmark = pytest.mark.torch

Draw = Callable[..., Catalogue]


@pytest.fixture
def folder_of(tmp_path: Path) -> Draw:
    def draw(*names: str) -> Catalogue:
        for number, name in enumerate(names):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (9, 9), (5 * number, 0, 0)).save(path)
        return read_catalogue(tmp_path)

    return draw


@pytest.fixture
def table_of(tmp_path: Path) -> Draw:
    def draw(columns: str, *rows: str) -> Catalogue:
        lines = [f"path,{columns}"]
        for number, row in enumerate(rows):
            Image.new("RGB", (9, 9), (5 * number, 0, 0)).save(tmp_path / f"{number}.png")
            lines.append(f"{number}.png,{row}")
        (tmp_path / "table.csv").write_text("\n".join(lines))
        return read_catalogue(tmp_path / "table.csv")

    return draw


def test_classes_alone_are_told_apart_by_either_recipe(folder_of: Draw):
    catalogue = folder_of(*(f"{kind}/{n}.png" for kind in ("hats", "shoes") for n in range(6)))

    assert _classes_and_items(catalogue, "article") == (2, 0)
    assert _classes_and_items(catalogue, "retrieval") == (2, 0)
    assert catalogue.queries == catalogue.of("test") != ()


def test_items_alone_are_what_either_recipe_learns(table_of: Draw):
    catalogue = table_of("item_id", *(item for item in "abcdef" for _ in range(3)))

    assert catalogue.categories == ()
    assert _classes_and_items(catalogue, "article") == (0, 5)
    assert _classes_and_items(catalogue, "retrieval") == (0, 5)
    assert len(catalogue.queries) == 6
    assert catalogue.new_items == {"e"}


def test_of_both_the_article_takes_classes_and_retrieval_takes_both(folder_of: Draw):
    catalogue = folder_of(
        *(f"{kind}/{item}/{n}.png" for kind in ("hats", "shoes") for item in "abc" for n in "12")
    )

    assert _classes_and_items(catalogue, "article") == (2, 0)
    assert _classes_and_items(catalogue, "retrieval") == (2, 5)


def test_with_neither_each_photo_is_its_own_item(folder_of: Draw):
    catalogue = folder_of(*(f"{n:02}.png" for n in range(20)))

    assert _classes_and_items(catalogue, "article") == (0, 16)
    assert _classes_and_items(catalogue, "retrieval") == (0, 16)
    assert not catalogue.has_pairs


def test_a_single_class_teaches_nothing(folder_of: Draw):
    assert _classes_and_items(folder_of(*(f"hats/{n}.png" for n in range(4))), "article") == (0, 3)


def test_photos_without_a_class_are_left_out_of_that_loss_alone(table_of: Draw):
    catalogue = table_of("label,item_id,split", *("Hat,a,train", ",a,train", "Shoe,b,train"))
    labels = Labels.of(catalogue, RECIPES["retrieval"])
    classes, items = labels.of_photos(catalogue.photos)

    assert (classes.tolist(), items.tolist()) == ([0, -1, 1], [0, 0, 1])


def _classes_and_items(catalogue: Catalogue, recipe: str) -> tuple[int, int]:
    labels = Labels.of(catalogue, RECIPES[recipe])
    return len(labels.classes), len(labels.items)
