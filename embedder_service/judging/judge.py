"""Judges one model, or two side by side, on a catalogue."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from embedder_service import checkpoint
from embedder_service.judging import pairs, pictures, variants
from embedder_service.judging.contestants import Contestant, contest, maker_of, makers_before
from embedder_service.judging.copies import Copies, Originals
from embedder_service.judging.duplicates import near_duplicates
from embedder_service.judging.findings import About, Findings, Model, Similarities
from embedder_service.judging.served import Search, judge_served
from embedder_service.judging.standings import standings
from embedder_service.judging.telling import classification
from embedder_service.judging.thresholds import thresholds
from embedder_service.judging.times import article_times
from embedder_service.judging.trial import Kind, Trial, class_trial, retrieval_trial
from embedder_service.model import EmbeddingModel
from embedder_service.spec import ModelError
from embedder_service.training.data import Catalogue, CatalogueError

Say = Callable[[str], None]
Progress = Callable[[int, int], None]

LEAST_PHOTOS = 4
_MATCH_RATE = 0.01  # of false matches, where copies are said to match
_NO_SPLITS = "It came without splits; these are made by the photos' ids, as a training makes them."


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to judge.

    kind: "held-out" photos among the gallery, "each" among all others, None: what the catalogue
    has. most_queries: more are sampled. weights: the backbone's before, as in `baselines`.
    threshold: a similarity of the first model's that is in use. duplicates_above: 0 takes it from
    how near recompressed copies are. copied: how many photos are changed and looked for.
    """

    kind: Kind | None = None
    most_queries: int = 5_000
    weights: str = "auto"
    threshold: float | None = None
    duplicates_above: float = 0.0
    copied: int = 200


@dataclass(frozen=True)
class Judged:
    """A model that was read from its folder."""

    folder: Path
    space_id: str
    model: EmbeddingModel


@dataclass(frozen=True)
class Asked:
    """A search service that knows the last model's vectors, and what to call it."""

    search: Search
    described: str


Ask = Callable[[Trial, Contestant], Asked | None]


def read_models(folders: Sequence[Path]) -> list[Judged]:
    """One, or two to compare. Raises ModelError."""
    if not 1 <= len(folders) <= 2:
        raise ModelError(f"model: expected one folder or two, got {len(folders)}")
    read = [(folder, checkpoint.load(folder)) for folder in folders]
    return [Judged(folder, each.space_id, each.model) for folder, each in read]


def judge(
    catalogue: Catalogue,
    models: Sequence[Judged],
    settings: Settings,
    ask: Ask,
    say: Say = lambda _: None,
    on_step: Progress = lambda *_: None,
) -> Findings:
    """Everything. The last model is the one that is judged; one before it is compared with it.

    `ask` is called once the vectors are there and gives the service to go through, or None. Raises
    CatalogueError, ModelError, and what `ask` and its service raise.
    """
    begun = time.monotonic()
    photos = catalogue.photos
    if len(photos) < LEAST_PHOTOS:
        raise CatalogueError(
            f"images: expected at least {LEAST_PHOTOS} photos that decode in {catalogue.folder}, "
            f"got {len(photos)}"
        )
    trial = retrieval_trial(catalogue, settings.kind, settings.most_queries)
    contestants = _contestants(catalogue, models, settings, say, on_step)
    judged = contestants[-1]
    asked = ask(trial, judged)
    say("searching ...")
    stand = standings(trial, contestants, catalogue.new_items)
    served = judge_served(asked.search, asked.described, trial, contestants) if asked else None
    say("telling classes ...")
    told = classification(
        class_trial(catalogue, trial, settings.most_queries),
        contestants,
        [each.model for each in models],
    )
    say("distances, dimensions, times ...")
    distances = variants.by_distance(trial, contestants, stand.by) if stand.by else None
    dimensions = variants.by_dimension(trial, contestants, stand.by) if stand.by else None
    methods = article_times(trial, judged, len(catalogue.categories))
    apart = thresholds(photos, contestants)
    say("looking for changed copies ...")
    copies = _copies(catalogue, contestants, apart.spaces, settings.copied)
    say("near-duplicates, maps and sheets ...")
    return Findings(
        about=_about(catalogue, trial),
        models=tuple(map(_model, [each for each in contestants if each.is_judged], models)),
        by=stand.by,
        standings=stand.rows,
        lead=stand.lead if len(models) == 2 else None,
        examples=pictures.examples(trial, judged, stand.nearest, stand.by),
        classification=told,
        served=served,
        distances=distances,
        dimensions=dimensions,
        methods=methods,
        copies=copies,
        copied=min(settings.copied, len(photos)),
        duplicates=near_duplicates(photos, judged, copies[-1], settings.duplicates_above),
        similarities=apart.spaces,
        moved=apart.moved(settings.threshold) if len(models) == 2 else (),
        matrix=pictures.matrix(photos, judged.vectors),
        map=pictures.photo_map(photos, judged.vectors),
        worst=pictures.worst(trial, judged, stand.found[-1], stand.nearest, stand.by),
        seconds=time.monotonic() - begun,
    )


def _contestants(
    catalogue: Catalogue,
    models: Sequence[Judged],
    settings: Settings,
    say: Say,
    on_step: Progress,
) -> list[Contestant]:
    before = makers_before(models[-1].model, catalogue.gallery, settings.weights)
    names = ["fine-tuned"] if len(models) == 1 else ["model A", "model B"]
    judged = [maker_of(name, each.model) for name, each in zip(names, models, strict=True)]
    found = []
    for maker in (*before, *judged):
        say(f"{len(catalogue.photos):,} photos by {maker.name} ...")
        found.append(contest(maker, catalogue.photos, maker in judged, on_step))
    return found


def _copies(
    catalogue: Catalogue,
    contestants: Sequence[Contestant],
    spaces: Sequence[Similarities],
    most: int,
) -> tuple[Copies, ...]:
    originals = Originals(catalogue, most)
    return tuple(
        originals.judge(each, pairs.quantile_above(space.others, _MATCH_RATE))
        if len(space.others)
        else originals.judge(each, None)
        for each, space in zip(contestants, spaces, strict=True)
    )


def _about(catalogue: Catalogue, trial: Trial) -> About:
    return About(
        catalogue=str(catalogue.folder),
        format_name=catalogue.format_name,
        photos=len(catalogue.photos),
        items=len(catalogue.items),
        categories=len(catalogue.categories),
        new_items=len(catalogue.new_items),
        queries=len(trial.queries),
        asked=trial.asked,
        gallery=len(trial.gallery),
        kind=trial.kind,
        damaged=tuple((str(each.path), each.reason) for each in catalogue.damaged),
        notes=catalogue.notes if catalogue.has_splits else (*catalogue.notes, _NO_SPLITS),
        copies=len(catalogue.copies),
    )


def _model(contestant: Contestant, judged: Judged) -> Model:
    spec = judged.model.spec
    return Model(
        name=contestant.name,
        folder=str(judged.folder),
        space_id=judged.space_id,
        backbone=spec.backbone,
        head=spec.head,
        dimension=spec.dimension,
        side=spec.preprocessing.crop,
        classes=len(spec.classes),
    )
