"""A small real training: the loss falls, the seed decides, labels of every kind will do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from embedder_service.model import EmbeddingModel
from embedder_service.training.augment import Augmentation
from embedder_service.training.data import Catalogue, CatalogueError
from embedder_service.training.finetune import (
    Epoch,
    FinetuneSettings,
    estimate_minutes,
    finetune,
)
from embedder_service.training.starting import starting_model

pytestmark = pytest.mark.torch

STILL = Augmentation(degrees=0, zoom=(1, 1), shift=0, gain=0, cast=0, gamma=0, erased=0)
SMALL = FinetuneSettings(
    weights="none",
    side=48,
    small_epochs=0,
    epochs=4,
    batch=6,
    dimension=32,
    augmentation=STILL,
)


@dataclass(frozen=True)
class Trained:
    """A model and what its training told."""

    model: EmbeddingModel
    epochs: list[Epoch]
    steps: list[tuple[int, int]]


@pytest.fixture(scope="module")
def trained(tiny: Catalogue) -> Trained:
    epochs: list[Epoch] = []
    steps: list[tuple[int, int]] = []
    model = finetune(tiny, SMALL, epochs.append, lambda *step: steps.append(step))
    return Trained(model, epochs, steps)


def test_the_loss_falls(trained: Trained):
    first, last = trained.epochs[0], trained.epochs[-1]

    assert last.train_loss < first.train_loss
    assert [epoch.number for epoch in trained.epochs] == [1, 2, 3, 4]
    assert trained.steps[-1] == (12, 12)


def test_an_epoch_tells_class_accuracy_and_item_recall(trained: Trained):
    last = trained.epochs[-1]

    assert last.valid_loss is not None
    assert last.top_1 is not None
    assert last.top_3 == 1  # of three classes
    assert last.item_recall_at_1 is not None


def test_the_model_is_ready_to_serve(trained: Trained):
    assert not trained.model.training
    assert trained.model.spec.classes == ("Shirt", "T-Shirt", "Tank-Top")
    assert trained.model.spec.preprocessing.crop == 48


def test_the_same_seed_gives_the_same_space_and_another_another(tiny: Catalogue):
    quick = replace(SMALL, epochs=1)
    one, two, other = (
        finetune(tiny, settings).space_id() for settings in (quick, quick, replace(quick, seed=1))
    )

    assert one == two != other


@pytest.mark.parametrize(
    ("category", "item", "has_classes", "has_recall"),
    [("", True, False, True), ("kind", False, True, False), ("", False, False, False)],
    ids=["items only", "classes only", "neither"],
)
def test_labels_may_be_classes_or_items_or_neither(
    tiny: Catalogue, category: str, item: bool, has_classes: bool, has_recall: bool
):
    photos = tuple(
        replace(
            photo,
            category=photo.category if category else "",
            item_id=photo.item_id if item else photo.photo_id,
        )
        for photo in tiny.photos
    )
    epochs: list[Epoch] = []
    model = finetune(Catalogue(tiny.folder, photos), replace(SMALL, epochs=1), epochs.append)

    assert (model.classifier is not None) is has_classes
    assert (epochs[0].top_1 is not None) is has_classes
    assert (epochs[0].item_recall_at_1 is not None) is has_recall
    assert (epochs[0].valid_loss is not None) is (has_classes or has_recall)
    assert epochs[0].train_loss > 0


def test_the_article_recipe_learns_classes_with_its_own_head(tiny: Catalogue):
    epochs: list[Epoch] = []
    model = finetune(tiny, replace(SMALL, recipe="article", epochs=1), epochs.append)

    assert model.spec.head == "article"
    assert epochs[0].top_1 is not None
    assert epochs[0].item_recall_at_1 is not None  # judged, though not learnt


def test_the_first_epochs_run_small_and_the_last_at_the_whole_side():
    settings = FinetuneSettings()

    assert [settings.side_in(number) for number in (1, 9, 10, 14)] == [72, 72, 112, 112]
    assert FinetuneSettings(epochs=1).side_in(1) == 112
    assert FinetuneSettings(side=40).side_in(1) == 32


def test_minutes_are_estimated_before_the_training(tiny: Catalogue):
    assert estimate_minutes(tiny, SMALL, steps=1) > 0
    # A batch holds no more than there are; a billion pictures of them would fill any memory.
    assert estimate_minutes(tiny, replace(SMALL, batch=10**9, epochs=1), steps=1) > 0


def test_a_catalogue_with_nothing_to_train_on_is_refused(tiny: Catalogue):
    only_test = Catalogue(tiny.folder, tiny.of("test"))

    with pytest.raises(CatalogueError, match="expected at least 2 training photos, got 0"):
        finetune(only_test, SMALL)


def test_the_weights_of_a_file_start_the_body(trained: Trained, tmp_path: Path):
    body = trained.model.body.state_dict()
    save_file(body, tmp_path / "body.safetensors")
    settings = replace(SMALL, weights=tmp_path / "body.safetensors")
    model, is_pretrained = starting_model(settings, (), lambda _: None)

    assert is_pretrained
    assert all(torch.equal(tensor, body[name]) for name, tensor in model.body.state_dict().items())


def test_without_a_network_it_says_so_and_starts_from_scratch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # nothing cached
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing listens there
    said: list[str] = []
    _, is_pretrained = starting_model(replace(SMALL, weights="auto"), (), said.append)

    assert not is_pretrained
    assert said == [
        "ImageNet weights cannot be had here (Connection refused): training from scratch."
    ]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"recipe": "cake"}, "recipe: expected retrieval or article, got cake"),
        ({"side": 31}, "side: expected 32 to 896, got 31"),
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"batch": 1}, "batch: expected at least 2, got 1"),
        ({"small_epochs": 1.0}, "small_epochs: expected 0 to 1, got 1.0"),
        ({"small_side": 0.0}, "small_side: expected above 0, at most 1, got 0.0"),
    ],
)
def test_settings_out_of_range_are_named(wrong: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        FinetuneSettings(**wrong)  # type: ignore[arg-type]
