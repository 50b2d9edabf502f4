"""Fine-tunes a backbone on a catalogue. Plain torch; reads top to bottom."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from embedder_service.model import EmbeddingModel, build
from embedder_service.spec import ModelError, ModelSpec, Preprocessing
from embedder_service.training.augment import Augmentation, load_pixels
from embedder_service.training.data import Catalogue, CatalogueError
from embedder_service.training.recipes import RECIPES, Labels, Objective

_DOWNLOAD_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """How to train.

    `weights` fill the body: "imagenet", "none", a file, or "auto": ImageNet's where they can be
    had, else none. `side` is that of the square the model sees; the first `small_epochs` run at
    `small_side`, which costs a third. `device` is "auto", "cpu" or "cuda".
    """

    recipe: str = "retrieval"
    backbone: str = "resnet18"
    weights: str | Path = "auto"
    side: int = 112
    small_side: int = 72
    epochs: int = 16
    small_epochs: int = 10
    batch: int = 48
    dimension: int = 512
    seed: int = 0
    device: str = "auto"
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        _expect("recipe", self.recipe in RECIPES, " or ".join(RECIPES), self.recipe)
        _expect("epochs", self.epochs >= 1, "at least 1", self.epochs)
        _expect("batch", self.batch >= 2, "at least 2", self.batch)

    def side_in(self, epoch: int) -> int:
        """The side of an epoch's pictures; epochs count from 1."""
        return min(self.small_side, self.side) if epoch <= self.small_epochs else self.side


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One line of the training's table.

    `top_1` and `top_3` are shares of validation photos whose class leads, or is in the first three.
    `item_recall_at_1`: how often a validation photo's nearest, among one training photo of each
    item, is of its own item. None where the catalogue has no such labels.
    """

    number: int
    epochs: int
    train_loss: float
    valid_loss: float | None
    top_1: float | None
    top_3: float | None
    item_recall_at_1: float | None
    seconds: float


OnEpoch = Callable[[Epoch], None]
OnStep = Callable[[int, int], None]
Say = Callable[[str], None]


def finetune(
    catalogue: Catalogue,
    settings: FinetuneSettings,
    on_epoch: OnEpoch = lambda _: None,
    on_step: OnStep = lambda *_: None,
    say: Say = lambda _: None,
) -> EmbeddingModel:
    """A model trained on the catalogue's training photos, on the CPU and in evaluation mode.

    `on_step(done, total)` follows every batch; `say` takes a line about where the weights come
    from. The same seed on the same machine gives the same model. Raises CatalogueError, ModelError.
    """
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        generator = torch.Generator().manual_seed(settings.seed)
        photos = Photos(catalogue, settings)
        learner = Learner(settings, photos.labels, photos.batches, say)
        for number in range(1, settings.epochs + 1):
            began = time.perf_counter()
            side = settings.side_in(number)
            learner.thaw_body(number)
            losses = []
            for rows in photos.shuffled(generator):
                pixels = settings.augmentation(photos.train[rows], side, generator)
                losses.append(learner.step(pixels, photos.classes[rows], photos.items[rows]))
                on_step(photos.batches * (number - 1) + len(losses), learner.steps)
            judged = judge(learner, photos, side)
            on_epoch(
                Epoch(
                    number=number,
                    epochs=settings.epochs,
                    train_loss=sum(losses) / len(losses),
                    **judged,
                    seconds=time.perf_counter() - began,
                )
            )
    return learner.trained()


def estimate_minutes(catalogue: Catalogue, settings: FinetuneSettings, steps: int = 2) -> float:
    """Minutes that `finetune` will take here, by timing a few batches of random pixels."""
    labels = Labels.of(catalogue, RECIPES[settings.recipe])
    batches = max(1, len(catalogue.of("train")) // settings.batch)
    with torch.random.fork_rng():
        scratch = replace(settings, weights="none")
        learner = Learner(scratch, labels, batches, lambda _: None)
        sides = [settings.side_in(number) for number in range(1, settings.epochs + 1)]
        seconds = {side: _seconds_per_step(learner, side, steps) for side in set(sides)}
    return sum(seconds[side] * batches for side in sides) / 60


class Photos:
    """The catalogue's pixels and labels in memory: uint8, a little larger than the model sees."""

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
        whole = Preprocessing(resize=settings.side * 8 // 7, crop=settings.side * 8 // 7)
        self.train = load_pixels(train, whole)
        self.valid = load_pixels(valid, whole)

    @property
    def batches(self) -> int:
        """Batches an epoch; the last, smaller one is left out."""
        return len(self.train) // self.batch

    def shuffled(self, generator: torch.Generator) -> Iterator[Tensor]:
        """The rows of each batch of an epoch."""
        order = torch.randperm(len(self.train), generator=generator)
        return iter(order[: self.batches * self.batch].view(self.batches, self.batch))

    def one_of_each_item(self) -> Tensor:
        """The row of the first training photo of each item."""
        first = {item: row for row, item in reversed(list(enumerate(self.items.tolist())))}
        return torch.tensor(sorted(first.values()))


class Learner:
    """A model with its loss, optimiser and schedule."""

    def __init__(self, settings: FinetuneSettings, labels: Labels, batches: int, say: Say) -> None:
        self._recipe = RECIPES[settings.recipe]
        self._device = torch.device(_device(settings.device))
        model, self._pretrained = starting_model(settings, labels.classes, say)
        self.model = model.to(self._device).to(memory_format=torch.channels_last)
        self._objective = Objective(self._recipe, labels, settings.dimension).to(self._device)
        self._epochs, self.steps = settings.epochs, settings.epochs * batches
        self.batch = settings.batch
        self._optimiser = AdamW(self._groups(), weight_decay=self._recipe.weight_decay)
        rates = [float(group["lr"]) for group in self._optimiser.param_groups]
        # Below 8 steps a quarter of them is no warm-up: torch divides by its length less one.
        self._schedule = OneCycleLR(self._optimiser, rates, max(self.steps, 8), pct_start=0.25)

    def trained(self) -> EmbeddingModel:
        """The model, on the CPU and in evaluation mode."""
        return self.model.cpu().to(memory_format=torch.contiguous_format).eval()

    def step(self, pixels: Tensor, classes: Tensor, items: Tensor) -> float:
        """One batch forwards and backwards; returns its loss."""
        self.model.train()
        self._objective.train()
        loss = self._loss(self.raw(pixels), classes, items)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self._optimiser.step()
        self._schedule.step()
        return loss.item()

    def raw(self, pixels: Tensor) -> Tensor:
        """The embedding before normalisation; the body in bfloat16 where that is faster."""
        pixels = pixels.to(self._device).contiguous(memory_format=torch.channels_last)
        with self._autocast():
            features = self.model.features(pixels)
        return cast(Tensor, self.model.embedding(features.float()))

    @torch.no_grad()
    def evaluated(self, pixels: Tensor) -> Tensor:
        """The same in evaluation mode, without gradients: float32 [n, dimension]."""
        self.model.eval()
        return torch.cat([self.raw(part) for part in torch.split(pixels, 64)])

    @torch.no_grad()
    def loss_of(self, raw: Tensor, classes: Tensor, items: Tensor) -> float:
        """The loss in evaluation mode."""
        self._objective.eval()
        return self._loss(raw, classes, items).item()

    def thaw_body(self, epoch: int) -> None:
        """A pretrained body rests for the first share of the epochs, where the recipe says so."""
        rests = self._pretrained and epoch <= self._recipe.frozen_share * self._epochs
        self.model.body.requires_grad_(not rests)

    def _loss(self, raw: Tensor, classes: Tensor, items: Tensor) -> Tensor:
        labels = classes.to(self._device), items.to(self._device)
        return cast(Tensor, self._objective(self.model, raw, *labels))

    def _groups(self) -> list[dict[str, Any]]:
        """A pretrained body learns more slowly; scales and offsets do not decay."""
        rate = self._recipe.peak_rate
        body_rate = rate * (self._recipe.body_rate if self._pretrained else 1)
        body = set(self.model.body.parameters())
        rest = set(self.model.parameters()) - body
        return [
            {"params": [p for p in params if (p.ndim > 1) == decays], "lr": share} | decay
            for params, share in (
                (list(self.model.body.parameters()), body_rate),
                ([p for p in self.model.parameters() if p in rest], rate),
                (list(self._objective.parameters()), rate * 4),
            )
            for decays, decay in ((True, {}), (False, {"weight_decay": 0.0}))
        ]

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(
            self._device.type,
            torch.bfloat16,
            enabled=self._device.type == "cuda" or cpu_has_bfloat16(),
        )


def judge(learner: Learner, photos: Photos, side: int) -> dict[str, float | None]:
    """The validation photos' loss, class accuracy and item recall, at the epoch's own side."""
    known = dict.fromkeys(("valid_loss", "top_1", "top_3", "item_recall_at_1"))
    if not len(photos.valid):
        return known
    raw = learner.evaluated(_resized(photos.valid, side))
    figures: dict[str, float | None] = dict(known)
    figures["valid_loss"] = learner.loss_of(raw, photos.valid_classes, photos.valid_items)
    if learner.model.classifier is not None:
        with torch.no_grad():
            order = learner.model.classify(raw).argsort(1, descending=True).cpu()
        hits = order == photos.valid_classes.unsqueeze(1)
        figures |= {"top_1": _share(hits[:, :1]), "top_3": _share(hits[:, :3])}
    if (photos.valid_items >= 0).any():
        rows = photos.one_of_each_item()
        gallery = learner.evaluated(_resized(photos.train[rows], side))
        nearest = (F.normalize(raw) @ F.normalize(gallery).T).argmax(1).cpu()
        found = photos.items[rows][nearest] == photos.valid_items
        figures["item_recall_at_1"] = _share(found.unsqueeze(1))
    return figures


def starting_model(
    settings: FinetuneSettings, classes: tuple[str, ...], say: Say
) -> tuple[EmbeddingModel, bool]:
    """The model before training, and whether its body knows ImageNet (or the file's data)."""
    spec = ModelSpec(
        backbone=settings.backbone,
        head=RECIPES[settings.recipe].head,
        dimension=settings.dimension,
        preprocessing=Preprocessing(resize=settings.side, crop=settings.side),
        classes=classes,
    )
    if settings.weights != "auto":
        return build(spec, settings.weights, settings.seed), settings.weights != "none"
    try:
        with _short_timeout():
            return build(spec, "imagenet", settings.seed), True
    except ModelError:
        say("ImageNet weights cannot be had here (no network): training from scratch.")
        return build(spec, "none", settings.seed), False


def cpu_has_bfloat16() -> bool:
    """Whether the processor computes in bfloat16; elsewhere it is slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _resized(pixels: Tensor, side: int) -> Tensor:
    resized = F.interpolate(pixels.float(), (side, side), mode="bilinear", antialias=True)
    return resized.round().clamp(0, 255).to(torch.uint8)


def _share(hits: Tensor) -> float:
    return hits.any(1).float().mean().item()


def _seconds_per_step(learner: Learner, side: int, steps: int) -> float:
    pixels = torch.randint(0, 256, (learner.batch, 3, side, side), dtype=torch.uint8)
    labels = torch.zeros(learner.batch, dtype=torch.int64)
    learner.step(pixels, labels, labels)
    began = time.perf_counter()
    for _ in range(steps):
        learner.step(pixels, labels, labels)
    return (time.perf_counter() - began) / steps


@contextmanager
def _short_timeout() -> Iterator[None]:
    """A network that swallows packets must not hold the training up."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def _expect(name: str, holds: bool, expected: str, got: object) -> None:
    if not holds:
        raise ValueError(f"{name}: expected {expected}, got {got}")
