"""The model before training, and where its weights come from."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from embedder_service.model import EmbeddingModel, build
from embedder_service.spec import ModelError, ModelSpec, Preprocessing
from embedder_service.training.precision import device_of
from embedder_service.training.recipes import RECIPES
from embedder_service.training.settings import FinetuneSettings
from embedder_service.training.team import Team

Say = Callable[[str], None]

_DOWNLOAD_SECONDS = 15.0


def starting_model(
    settings: FinetuneSettings, classes: tuple[str, ...], say: Say
) -> tuple[EmbeddingModel, bool]:
    """The model before training, and whether its body knows ImageNet (or the file's data)."""
    spec = model_spec(settings, classes)
    if settings.weights != "auto":
        return build(spec, settings.weights, settings.seed), settings.weights != "none"
    try:
        with _short_timeout():
            return build(spec, "imagenet", settings.seed), True
    except ModelError as error:
        say(f"ImageNet weights cannot be had here ({_why(error)}): training from scratch.")
        return build(spec, "none", settings.seed), False


def shared_start(
    settings: FinetuneSettings, classes: tuple[str, ...], say: Say, team: Team
) -> tuple[EmbeddingModel, bool]:
    """The same on every process of a team; the first alone looks for the weights."""
    if team.is_first:
        model, is_pretrained = starting_model(settings, classes, say)
    else:
        model, is_pretrained = build(model_spec(settings, classes), "none", settings.seed), False
    device = device_of(settings.device)
    model, knows = model.to(device), torch.tensor(int(is_pretrained), device=device)
    team.copy_firsts([knows, *model.state_dict().values()])
    return model, bool(knows)


def model_spec(settings: FinetuneSettings, classes: tuple[str, ...]) -> ModelSpec:
    """What the training makes."""
    is_pooling = settings.layer == "pooling"
    return ModelSpec(
        backbone=settings.backbone,
        head="pooling" if is_pooling else RECIPES[settings.recipe].head,
        dimension=settings.vector_dimension,
        preprocessing=Preprocessing(resize=settings.side, crop=settings.side),
        classes=classes,
    )


def _why(error: ModelError) -> object:
    """The cause in a few words: urllib wraps what the system said."""
    told = getattr(error.__cause__, "reason", error.__cause__)
    return getattr(told, "strerror", None) or told or error


@contextmanager
def _short_timeout() -> Iterator[None]:
    """A network that swallows packets must not hold the training up."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
