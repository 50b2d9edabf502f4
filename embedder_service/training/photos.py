"""The training's photos and labels: which rows make a batch, and what they show."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from embedder_service.training.data import Catalogue, CatalogueError
from embedder_service.training.pixels import Pixels, pixel_bytes
from embedder_service.training.precision import device_of
from embedder_service.training.recipes import RECIPES, Labels
from embedder_service.training.settings import FinetuneSettings


class Photos:
    """The catalogue's photos to learn from and to validate with, a little larger than seen."""

    def __init__(self, catalogue: Catalogue, settings: FinetuneSettings) -> None:
        train, valid = catalogue.of("train"), catalogue.of("val")
        if len(train) < 2:
            raise CatalogueError(
                f"{catalogue.folder}: expected at least 2 training photos, got {len(train)}"
            )
        self.batch = min(settings.batch, len(train))
        self.labels = Labels.of(catalogue, RECIPES[settings.recipe])
        self.classes, self.items = self.labels.of_photos(train)
        self.valid_classes, self.valid_items = self.labels.of_photos(valid)
        numbers = {item: number for number, item in enumerate(catalogue.items)}
        self.train_numbers = torch.tensor([numbers[photo.item_id] for photo in train])
        self.valid_numbers = torch.tensor([numbers[photo.item_id] for photo in valid])
        side = settings.side * 8 // 7
        fits = pixel_bytes(len(train) + len(valid), side) <= settings.memory_bytes
        self.device = device_of(settings.device)
        self.train = Pixels(train, side, settings.threads, in_memory=fits)
        self.valid = Pixels(valid, side, settings.threads, in_memory=fits)

    @property
    def batches(self) -> int:
        """Batches an epoch; the last, smaller one is left out."""
        return len(self.train) // self.batch

    @property
    def valid_has_labels(self) -> bool:
        """Whether any validation photo shows something that the training learns to tell."""
        return bool((self.valid_classes >= 0).any() or (self.valid_items >= 0).any())

    def shuffled(self, generator: torch.Generator) -> Iterator[Tensor]:
        """The rows of each batch of an epoch."""
        order = torch.randperm(len(self.train), generator=generator)
        return iter(order[: self.batches * self.batch].view(self.batches, self.batch))

    def one_of_each_item(self) -> Tensor:
        """The row of the first training photo of each item, whether items are learnt or not."""
        numbers = self.train_numbers.tolist()
        first = {number: row for row, number in reversed(list(enumerate(numbers)))}
        return torch.tensor(sorted(first.values()))
