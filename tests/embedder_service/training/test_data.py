"""Queries and gallery: one held-out photo of each item, and everything else."""

from __future__ import annotations

from pathlib import Path

from embedder_service.training.data import Catalogue, Photo, Split


def test_queries_are_one_test_photo_of_each_item_and_the_gallery_is_the_rest(tiny: Catalogue):
    assert len(tiny.queries) == 12
    assert {photo.item_id for photo in tiny.queries} == set(tiny.items)
    assert all(photo.split == "test" for photo in tiny.queries)
    assert len(tiny.gallery) == 36
    assert not {p.photo_id for p in tiny.queries} & {p.photo_id for p in tiny.gallery}


def test_an_item_with_one_photo_is_no_query_where_others_have_two():
    catalogue = _catalogue(("a", "train"), ("a", "test"), ("b", "test"))

    assert [photo.item_id for photo in catalogue.queries] == ["a"]


def test_lone_photos_are_queries_where_no_item_has_two():
    catalogue = _catalogue(("a", "train"), ("b", "test"), ("c", "val"))

    assert [photo.item_id for photo in catalogue.queries] == ["b"]
    assert not catalogue.has_pairs


def test_new_items_have_test_photos_only():
    assert _catalogue(("a", "train"), ("a", "test"), ("b", "test")).new_items == {"b"}


def _catalogue(*photos: tuple[str, Split]) -> Catalogue:
    return Catalogue(
        Path(),
        tuple(
            Photo(photo_id=f"{n}.jpg", path=Path(f"{n}.jpg"), item_id=item, split=split)
            for n, (item, split) in enumerate(photos)
        ),
    )
