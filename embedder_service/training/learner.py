"""A model while it learns: its loss, its optimiser and schedule, and all of it as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from embedder_service.model import EmbeddingModel
from embedder_service.training.average import MovingAverage
from embedder_service.training.precision import device_of, precision_of
from embedder_service.training.recipes import RECIPES, Labels, Objective, Recipe
from embedder_service.training.settings import FinetuneSettings
from embedder_service.training.starting import Say, shared_start
from embedder_service.training.team import ALONE, Team

_VALID_BATCH = 64
_HEAD = 4  # of the parameter groups
_PROXY_RATE = 4.0  # over the head's


class Learner:
    """A model with its loss, optimiser and schedule, on one process of a team."""

    def __init__(
        self,
        settings: FinetuneSettings,
        labels: Labels,
        batches: int,
        say: Say,
        team: Team = ALONE,
    ) -> None:
        self._settings, self._recipe, self._team = settings, RECIPES[settings.recipe], team
        self.device = device_of(settings.device)
        self._dtype = precision_of(settings.precision, self.device)
        model, self._pretrained = shared_start(settings, labels.classes, say, team)
        self.model = model.to(memory_format=torch.channels_last)
        self._objective = Objective(self._recipe, labels, settings.vector_dimension).to(self.device)
        team.copy_firsts(self._objective.state_dict().values())
        self._average = MovingAverage(self.model, settings.average) if settings.average else None
        self.steps = settings.epochs * batches
        self._optimiser = AdamW(
            parameter_groups(self.model, self._objective, self._recipe, self._rates()), fused=True
        )
        peaks = [float(group["lr"]) for group in self._optimiser.param_groups]
        # Below 8 steps a quarter of them is no warm-up: torch divides by its length less one.
        self._schedule = OneCycleLR(self._optimiser, peaks, max(self.steps, 8), pct_start=0.25)
        self._scaler = GradScaler(
            self.device.type, init_scale=2.0**13, enabled=self._dtype is torch.float16
        )

    @property
    def judged(self) -> EmbeddingModel:
        """What is judged and kept: the moving average, where there is one."""
        return self.model if self._average is None else self._average.model

    @property
    def rate(self) -> float:
        """The head's, now."""
        return float(self._optimiser.param_groups[_HEAD]["lr"])

    def set_rate(self, rate: float) -> None:
        """The head's, and the others in proportion; the next step moves it back to the cycle."""
        share = rate / self.rate
        for group in self._optimiser.param_groups:
            group["lr"] *= share

    def trained(self) -> EmbeddingModel:
        """The model, on the CPU and in evaluation mode."""
        return self.judged.cpu().to(memory_format=torch.contiguous_format).eval()

    def step(self, pixels: Tensor, classes: Tensor, items: Tensor) -> Tensor:
        """One batch forwards and backwards; returns its loss, on the device."""
        self.model.train()
        self._objective.train()
        loss = self._loss(self.model, self._raw(self.model, pixels), classes, items)
        self._optimiser.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        learning = [p for p in self._parameters() if p.requires_grad]
        self._team.average(_gradients(learning))
        self._scaler.unscale_(self._optimiser)
        nn.utils.clip_grad_norm_(self.model.parameters(), self._settings.clip)
        scale = self._scaler.get_scale()
        self._scaler.step(self._optimiser)
        self._scaler.update()
        if self._scaler.get_scale() >= scale:  # else the gradients overflowed: no step was made
            self._schedule.step()
        if self._average is not None:
            self._average.update(self.model)
        return loss.detach()

    @torch.no_grad()
    def evaluated(self, pixels: Tensor) -> Tensor:
        """The embedding before normalisation, in evaluation mode: float32 [n, dimension]."""
        self.judged.eval()
        return torch.cat(
            [self._raw(self.judged, part) for part in torch.split(pixels, _VALID_BATCH)]
        )

    @torch.no_grad()
    def loss_of(self, raw: Tensor, classes: Tensor, items: Tensor) -> float:
        """The loss in evaluation mode."""
        self._objective.eval()
        return self._loss(self.judged, raw, classes, items).item()

    def thaw_body(self, epoch: int) -> None:
        """A pretrained body rests for the first share of the epochs, where the recipe says so.

        Its BatchNorm goes on learning, as fastai leaves it.
        """
        rests = self._pretrained and epoch <= self._recipe.frozen_share * self._settings.epochs
        for module in self.model.body.modules():
            learns = not rests or isinstance(module, nn.modules.batchnorm._BatchNorm)
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(learns)

    def snapshot(self) -> dict[str, Tensor]:
        """The judged weights as they are now, on the CPU."""
        return {
            name: each.detach().cpu().clone() for name, each in self.judged.state_dict().items()
        }

    def put_back(self, snapshot: Mapping[str, Tensor]) -> None:
        """The judged weights become those of a snapshot."""
        self.judged.load_state_dict(snapshot)

    def agree(self) -> None:
        """BatchNorm's statistics become their means over the team."""
        models = [self.model] if self._average is None else [self.model, self._average.model]
        self._team.average(
            buffer for model in models for buffer in model.buffers() if buffer.is_floating_point()
        )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that the next step depends on, but random numbers: tensors, and what is JSON."""
        tensors = {f"{part}.{name}": each for part, name, each in self._named_tensors()}
        for number, parameter in enumerate(self._parameters()):
            for name, tensor in self._optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{number}.{name}"] = tensor
        groups = [
            {name: value for name, value in group.items() if name != "params"}
            for group in self._optimiser.param_groups
        ]
        return tensors, {
            "groups": groups,
            "schedule": self._schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Goes back to what `state` returned."""
        for part, name, tensor in self._named_tensors():
            with torch.no_grad():
                tensor.copy_(tensors[f"{part}.{name}"])
        for key, tensor in tensors.items():
            part, _, rest = key.partition(".")
            if part == "optimiser":
                number, _, name = rest.partition(".")
                parameter = self._parameters()[int(number)]
                self._optimiser.state[parameter][name] = _beside(parameter, tensor)
        for group, saved in zip(self._optimiser.param_groups, facts["groups"], strict=True):
            group.update(saved)
        self._schedule.load_state_dict(facts["schedule"])
        self._scaler.load_state_dict(facts["scaler"])

    def _named_tensors(self) -> list[tuple[str, str, Tensor]]:
        parts = {
            "model": self.model.state_dict(),
            "objective": self._objective.state_dict(),
            "average": {} if self._average is None else self._average.tensors,
        }
        return [(part, *pair) for part, named in parts.items() for pair in named.items()]

    def _parameters(self) -> list[nn.Parameter]:
        return [each for group in self._optimiser.param_groups for each in group["params"]]

    def _rates(self) -> tuple[float, float, float]:
        """Of the body's early layers, of its late ones, of the head."""
        rate = self._settings.rate or self._recipe.peak_rate
        if not self._pretrained:
            return rate, rate, rate
        late = rate * self._recipe.body_rate
        return late * self._recipe.early_rate, late, rate

    def _raw(self, model: EmbeddingModel, pixels: Tensor) -> Tensor:
        """The embedding before normalisation; the body in fewer bits where that is faster."""
        pixels = pixels.to(self.device).contiguous(memory_format=torch.channels_last)
        with self._autocast():
            features = model.features(pixels)
        return cast(Tensor, model.embedding(features.float()))

    def _loss(self, model: EmbeddingModel, raw: Tensor, classes: Tensor, items: Tensor) -> Tensor:
        labels = classes.to(self.device), items.to(self.device)
        return cast(Tensor, self._objective(model, raw, *labels))

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(
            self.device.type, self._dtype, enabled=self._dtype is not torch.float32
        )


def parameter_groups(
    model: EmbeddingModel, objective: Objective, recipe: Recipe, rates: tuple[float, float, float]
) -> list[dict[str, Any]]:
    """Early body, late body, head and proxies, each with its rate; scales and offsets not decayed.

    The early body is the first three quarters of its children: a ResNet's up to layer2.
    """
    children = list(model.body.children())
    split = len(children) * 3 // 4
    early, late, head = rates
    body = set(model.body.parameters())
    parts = (
        ([p for child in children[:split] for p in child.parameters()], early),
        ([p for child in children[split:] for p in child.parameters()], late),
        ([p for p in model.parameters() if p not in body], head),
        (list(objective.parameters()), head * _PROXY_RATE),
    )
    return [
        {
            "params": [p for p in parameters if (p.ndim > 1) == decays],
            "lr": rate,
            "weight_decay": recipe.weight_decay if decays else 0.0,
        }
        for parameters, rate in parts
        for decays in (True, False)
    ]


def _gradients(parameters: list[nn.Parameter]) -> list[Tensor]:
    """Zeros where a process saw no label that reaches a parameter: all must add up the same."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    return [cast(Tensor, parameter.grad) for parameter in parameters]


def _beside(parameter: nn.Parameter, tensor: Tensor) -> Tensor:
    """In the parameter's own memory format, which the fused optimiser takes for granted."""
    if tensor.shape != parameter.shape:
        return tensor.to(parameter.device)
    return torch.empty_like(parameter, requires_grad=False).copy_(tensor)
