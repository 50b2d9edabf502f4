"""The figures, against small cases worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedder_service import checkpoint
from embedder_service.judging.baselines import colour_histograms, untrained_model
from embedder_service.judging.embedding import embed_photos
from embedder_service.judging.evaluate import chance, evaluate, figures
from embedder_service.model import EmbeddingModel, build
from embedder_service.spec import ModelSpec, Preprocessing
from embedder_service.training.data import Catalogue, Photo

pytestmark = pytest.mark.torch

SPEC = ModelSpec(
    backbone="resnet18",
    head="retrieval",
    dimension=32,
    preprocessing=Preprocessing(resize=48, crop=48),
)


def test_perfect_vectors_find_everything(tiny: Catalogue):
    perfect = figures(tiny, _one_hot(tiny, tiny.queries), _one_hot(tiny, tiny.gallery))

    assert perfect.item_recall_at_1 == 1
    assert perfect.new_item_recall_at_1 == 1
    assert perfect.item_precision_at_10 == 1


def test_figures_by_hand():
    catalogue = _catalogue("a/train a/test b/train b/test c/train")
    vectors = np.eye(3, dtype=np.float32)
    # The query of a finds its own photo first, that of b finds c's.
    result = figures(catalogue, vectors[[0, 2]], vectors)

    assert result.item_recall_at_1 == 0.5
    assert result.item_precision_at_10 == 1  # all three photos are among the first ten
    assert result.category_recall_at_1 is None
    assert result.new_item_recall_at_1 is None
    assert "category_recall_at_1" not in result.as_dict()


def test_chance_is_the_share_of_the_gallery():
    result = chance(_catalogue("a/train a/test b/train b/test"))

    assert result.item_recall_at_1 == 0.5


def test_random_vectors_are_as_good_as_chance(tiny: Catalogue):
    rng = np.random.default_rng(0)
    draws = [
        figures(tiny, *(_random(rng, len(part)) for part in (tiny.queries, tiny.gallery)))
        for _ in range(200)
    ]
    mean = np.mean([draw.item_recall_at_1 or 0 for draw in draws])

    assert mean == pytest.approx(chance(tiny).item_recall_at_1, abs=0.02)


def test_lone_photos_have_category_figures_only():
    catalogue = _catalogue("a/train b/test c/train", category="kind")
    result = figures(
        catalogue, _random(np.random.default_rng(0), 1), np.eye(8, dtype=np.float32)[:2]
    )

    assert result.item_recall_at_1 is None
    assert result.category_precision_at_10 == 1


def test_histograms_see_the_cloth_and_are_nearly_blind_to_the_cut(tiny: Catalogue):
    vectors = colour_histograms(tiny.photos)
    cosines = vectors @ vectors.T
    np.testing.assert_allclose(np.diag(cosines), 1, atol=1e-5)
    np.fill_diagonal(cosines, -1)
    nearest = [tiny.photos[row] for row in cosines.argmax(1)]
    pairs = list(zip(tiny.photos, nearest, strict=True))
    same_cloth = np.mean([_cloth(photo) == _cloth(other) for photo, other in pairs])
    same_item = np.mean([photo.item_id == other.item_id for photo, other in pairs])

    assert same_cloth > 0.6
    assert same_item < same_cloth - 0.2


@pytest.fixture(scope="module")
def untrained(tiny: Catalogue) -> EmbeddingModel:
    return untrained_model(SPEC, tiny.gallery)


def test_untrained_features_differ_between_photos(tiny: Catalogue, untrained: EmbeddingModel):
    uncalibrated = embed_photos(build(SPEC), tiny.queries)
    calibrated = embed_photos(untrained, tiny.queries)

    assert _mean_cosine(calibrated) < 0.9 * _mean_cosine(uncalibrated)


def test_a_photos_vector_is_the_servings_own(tiny: Catalogue, untrained: EmbeddingModel):
    served = checkpoint.embed_photos(untrained, [p.path.read_bytes() for p in tiny.queries])

    np.testing.assert_allclose(embed_photos(untrained, tiny.queries), served, atol=1e-5)


def test_the_table_has_four_rows(tiny: Catalogue, untrained: EmbeddingModel):
    rows = evaluate(tiny, untrained)

    assert [row.name for row in rows] == ["chance", "colour histogram", "untrained", "fine-tuned"]
    assert all(row.figures.item_recall_at_1 is not None for row in rows)


def test_without_a_held_out_photo_nothing_is_judged(tiny: Catalogue, untrained: EmbeddingModel):
    rows = evaluate(Catalogue(tiny.folder, tiny.of("train")), untrained)

    assert [row.figures.as_dict() for row in rows] == [{}, {}, {}, {}]


def _catalogue(photos: str, category: str = "") -> Catalogue:
    pairs = [photo.split("/") for photo in photos.split()]
    blank = Photo(photo_id="", path=Path(), item_id="", category=category)
    return Catalogue(
        Path(),
        tuple(
            replace(blank, photo_id=f"{n}", item_id=item, split=split)  # type: ignore[arg-type]
            for n, (item, split) in enumerate(pairs)
        ),
    )


def _cloth(photo: Photo) -> tuple[str, str]:
    return photo.attributes["colour"], photo.attributes["print"]


def _one_hot(catalogue: Catalogue, photos: tuple[Photo, ...]) -> np.ndarray:
    rows = [catalogue.items.index(photo.item_id) for photo in photos]
    return np.eye(len(catalogue.items), dtype=np.float32)[rows]


def _random(rng: np.random.Generator, count: int) -> np.ndarray:
    vectors = rng.normal(size=(count, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _mean_cosine(vectors: np.ndarray) -> float:
    cosines = vectors @ vectors.T
    return float(cosines[~np.eye(len(vectors), dtype=bool)].mean())
