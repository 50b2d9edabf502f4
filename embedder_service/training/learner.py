"""A model while it learns: its start, its loss, its optimiser and schedule."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from embedder_service.model import EmbeddingModel, build
from embedder_service.spec import ModelError, ModelSpec, Preprocessing
from embedder_service.training.recipes import RECIPES, Labels, Objective
from embedder_service.training.settings import FinetuneSettings

Say = Callable[[str], None]

_DOWNLOAD_SECONDS = 15.0


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
        self._optimiser = AdamW(self._groups(), weight_decay=self._recipe.weight_decay, fused=True)
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
    except ModelError as error:
        say(f"ImageNet weights cannot be had here ({_why(error)}): training from scratch.")
        return build(spec, "none", settings.seed), False


def _why(error: ModelError) -> object:
    """The cause in a few words: urllib wraps what the system said."""
    told = getattr(error.__cause__, "reason", error.__cause__)
    return getattr(told, "strerror", None) or told or error


def cpu_has_bfloat16() -> bool:
    """Whether the processor computes in bfloat16; elsewhere it is slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


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
