"""Judges one model, or two side by side, on a catalogue."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedder_service import checkpoint
from embedder_service.judging import classes, copies, pairs, pictures, retrieval, variants
from embedder_service.judging.contestants import Contestant, contest, maker_of, makers_before
from embedder_service.judging.copies import Copies
from embedder_service.judging.duplicates import near_pairs
from embedder_service.judging.findings import (
    About,
    Classification,
    ClassRow,
    Duplicate,
    Duplicates,
    Findings,
    Lead,
    Model,
    Similarities,
    Standing,
)
from embedder_service.judging.methods import Method, article_annoy, measured, one_by_one, scan
from embedder_service.judging.pairs import Moved, Pairs
from embedder_service.judging.ranking import Found, Labels, find
from embedder_service.judging.served import Search, judge_served
from embedder_service.judging.trial import Kind, Trial, class_trial, retrieval_trial, sample
from embedder_service.model import EmbeddingModel
from embedder_service.spec import ModelError
from embedder_service.training.data import Catalogue, CatalogueError

Numbers = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]
Say = Callable[[str], None]
Progress = Callable[[int, int], None]

LEAST_PHOTOS = 4
_MATCH_RATE = 0.01  # of false matches, where copies are said to match
_NAIVE_QUERIES, _QUERIES = 5, 100
_MOST_CLASSES = 60  # in the confusion
_SHOWN_PAIRS = 60
_NEAR_AS = "recompressed"  # the change that a near-duplicate is at least as near as


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


def read_models(folders: Sequence[Path]) -> list[Judged]:
    """Raises ModelError for what is no model folder."""
    found = []
    for folder in folders:
        read = checkpoint.load(folder)
        found.append(Judged(folder, read.space_id, read.model))
    return found


def judge(
    catalogue: Catalogue,
    models: Sequence[Judged],
    settings: Settings,
    ask: Callable[[Trial, Contestant], Asked | None],
    say: Say = lambda _: None,
    on_step: Progress = lambda *_: None,
) -> Findings:
    """Everything. The last model is the one that is judged; one before it is compared with it.

    `ask` is called once the vectors are there and gives the service to go through, or None. Raises
    CatalogueError, ModelError, and what `ask` and its service raise.
    """
    begun = time.monotonic()
    if len(catalogue.photos) < LEAST_PHOTOS:
        raise CatalogueError(
            f"images: expected at least {LEAST_PHOTOS} photos that decode below "
            f"{catalogue.folder}, got {len(catalogue.photos)}"
        )
    trial = retrieval_trial(catalogue, settings.kind, settings.most_queries)
    contestants = _contestants(catalogue, models, settings, say, on_step)
    judged = contestants[-1]
    asked = ask(trial, judged)
    say("searching ...")
    standings, all_found, nearest = _standings(catalogue, trial, contestants)
    served = judge_served(asked.search, asked.described, trial, contestants) if asked else None
    say("telling classes ...")
    classification = _classification(catalogue, trial, contestants, models, settings)
    say("distances and dimensions ...")
    by = "item" if standings[-1].item else "category" if standings[-1].category else ""
    distances = variants.by_distance(trial, contestants, by) if by else None
    dimensions = variants.by_dimension(trial, contestants, by) if by else None
    methods = _methods(trial, judged, len(catalogue.categories))
    say("similarities ...")
    items = [photo.item_id for photo in catalogue.photos]
    others, same = pairs.other_item_pairs(items), pairs.same_item_pairs(items)
    similarities = tuple(_similarities(each, others, same) for each in _judged(contestants))
    say("looking for changed copies ...")
    copied, all_copies = _copies(catalogue, contestants, others, settings)
    say("near-duplicates, maps and sheets ...")
    by_label = [found[0] if by == "item" else found[1] for found in all_found]
    return Findings(
        about=_about(catalogue, trial),
        models=tuple(
            _model(each, one) for each, one in zip(_judged(contestants), models, strict=True)
        ),
        standings=tuple(standings),
        lead=_lead(by_label[-2:]) if len(models) == 2 and by else None,
        examples=pictures.examples(trial, judged, nearest),
        classification=classification,
        served=served,
        distances=distances,
        dimensions=dimensions,
        methods=methods,
        copies=tuple(all_copies),
        copied=copied,
        duplicates=_duplicates(catalogue, judged, all_copies[-1], settings),
        similarities=similarities,
        moved=_moved(settings, others, similarities),
        matrix=pictures.matrix(catalogue.photos, judged.vectors),
        map=pictures.photo_map(catalogue.photos, judged.vectors),
        worst=pictures.worst(trial, judged, by_label[-1], nearest, by) if by else (),
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


def _judged(contestants: Sequence[Contestant]) -> list[Contestant]:
    return [each for each in contestants if each.is_judged]


def _standings(
    catalogue: Catalogue, trial: Trial, contestants: Sequence[Contestant]
) -> tuple[list[Standing], list[tuple[Found, ...]], Numbers]:
    """The rows, chance first; what each found of items and categories; the last one's nearest."""
    labels = [trial.labels(lambda photo: photo.item_id), trial.labels(lambda photo: photo.category)]
    photos = [trial.photos[row] for row in trial.queries]
    is_new = np.array([photo.item_id in catalogue.new_items for photo in photos], bool)
    rows: list[Standing] = []
    all_found = []
    for each in contestants:
        found, nearest = find(
            each.vectors[trial.queries], each.vectors[trial.gallery], labels, trial.own
        )
        all_found.append(found)
        if not rows:
            rows.append(_standing("chance", False, found, is_new, retrieval.chance))
        rows.append(_standing(each.name, each.is_judged, found, is_new, retrieval.retrieval))
    return rows, all_found, nearest


def _lead(found: Sequence[Found]) -> Lead:
    before, after = ((each.answerable().first == 1).astype(np.float64) for each in found)
    gained = after - before
    return Lead(difference=float(gained.mean()), margin=retrieval.margin(gained))


def _standing(
    name: str,
    is_judged: bool,
    found: Sequence[Found],
    is_new: npt.NDArray[np.bool_],
    summed: Callable[[Found], retrieval.Retrieval | None],
) -> Standing:
    of_items, of_categories = found
    return Standing(
        name=name,
        is_judged=is_judged,
        item=summed(of_items),
        new_item=None if is_new.all() else summed(of_items.of(is_new)),
        category=summed(of_categories),
    )


def _classification(
    catalogue: Catalogue,
    trial: Trial,
    contestants: Sequence[Contestant],
    models: Sequence[Judged],
    settings: Settings,
) -> Classification | None:
    tested = class_trial(catalogue, trial, settings.most_queries)
    if not len(tested.queries) or len(tested.gallery) < 2:
        return None
    names = sorted({photo.category for photo in catalogue.photos if photo.category})
    numbers = {name: number for number, name in enumerate(names)}
    codes = np.array([numbers.get(photo.category, -1) for photo in tested.photos], np.int64)
    labels = Labels(codes[tested.queries], codes[tested.gallery])
    chance = classes.chance(len(tested.queries), len(names))
    rows = [ClassRow(name="chance", way="", is_judged=False, accuracy=chance)]
    for each in contestants:
        queries, gallery = each.vectors[tested.queries], each.vectors[tested.gallery]
        told = classes.told_by_nearest(queries, gallery, labels, tested.own)
        rows.append(_class_row(each, "the nearest photos' class", told))
    unknown, way = 0, rows[-1].way
    confusion = classes.confusion(labels.queries, told.first, names, _MOST_CLASSES)
    for contestant, one in zip(_judged(contestants), models, strict=True):
        if not one.model.spec.classes:
            continue
        known, wanted = classes.classes_of(one.model, tested)
        unknown = len(tested.queries) - len(known)
        if len(known):
            raw = contestant.raw[tested.queries[known]]
            told = classes.told_by_classifier(one.model, raw, wanted)
            way = "its classifier"
            rows.append(_class_row(contestant, way, told))
            confusion = classes.confusion(wanted, told.first, one.model.spec.classes, _MOST_CLASSES)
    return Classification(
        rows=tuple(rows),
        classes=len(names),
        unknown=unknown,
        confusion=confusion,
        confusion_way=way,
    )


def _class_row(contestant: Contestant, way: str, told: classes.Told) -> ClassRow:
    return ClassRow(
        name=contestant.name,
        way=way,
        is_judged=contestant.is_judged,
        accuracy=classes.accuracy(told),
    )


def _methods(trial: Trial, judged: Contestant, categories: int) -> tuple[Method, ...]:
    """The articles' ways, among the gallery: one by one, in one product, by annoy."""
    gallery = judged.vectors[trial.gallery]
    queries = judged.vectors[sample(trial.queries, _QUERIES)]
    truth = [set(scan(gallery, query)) for query in queries]
    trees = max(2, categories)
    begun = time.monotonic()
    annoy = article_annoy(gallery, trees)
    built = time.monotonic() - begun
    return (
        measured(
            "cosine, one by one",
            lambda query: one_by_one(gallery, query),
            queries[:_NAIVE_QUERIES],
            truth,
        ),
        measured("cosine, one product", lambda query: scan(gallery, query), queries, truth),
        measured(f"the article's annoy, {trees} trees", annoy, queries, truth, built),
    )


def _similarities(contestant: Contestant, others: Pairs, same: Pairs) -> Similarities:
    apart, together = (each.similarities(contestant.vectors) for each in (others, same))
    return Similarities(
        name=contestant.name,
        other_pairs=len(apart),
        same_pairs=len(together),
        thresholds=tuple(pairs.thresholds(apart, together)),
        others=apart,
        same=together,
    )


def _copies(
    catalogue: Catalogue, contestants: Sequence[Contestant], others: Pairs, settings: Settings
) -> tuple[int, list[Copies]]:
    rows = sample(np.arange(len(catalogue.photos)), settings.copied)
    same = _numbers_of_files(catalogue)
    found = []
    for each in contestants:
        apart = others.similarities(each.vectors)
        threshold = pairs.quantile_above(apart, _MATCH_RATE) if len(apart) else None
        found.append(copies.judge_copies(each, catalogue.photos, rows, same, threshold))
    return len(rows), found


def _numbers_of_files(catalogue: Catalogue) -> Numbers:
    """A number a photo; photos whose files have the same bytes share one."""
    rows = {photo.photo_id: row for row, photo in enumerate(catalogue.photos)}
    numbers = np.arange(len(rows))
    for group in catalogue.copies:
        numbers[[rows[photo_id] for photo_id in group]] = rows[group[0]]
    return numbers


def _duplicates(
    catalogue: Catalogue, judged: Contestant, copied: Copies, settings: Settings
) -> Duplicates:
    threshold = settings.duplicates_above or copied.spread[_NEAR_AS].middle
    count, nearest = near_pairs(judged.vectors, threshold, _SHOWN_PAIRS)
    photos = catalogue.photos
    return Duplicates(
        threshold=threshold,
        threshold_from="given"
        if settings.duplicates_above
        else "half of the recompressed copies are as near to their original",
        found=count,
        pairs=tuple(
            Duplicate(
                left=photos[pair.left].photo_id,
                right=photos[pair.right].photo_id,
                similarity=pair.similarity,
                same_item=photos[pair.left].item_id == photos[pair.right].item_id,
            )
            for pair in nearest
        ),
    )


def _moved(
    settings: Settings, others: Pairs, similarities: Sequence[Similarities]
) -> tuple[Moved, ...]:
    if len(similarities) < 2 or not len(others.left):
        return ()
    old, new = similarities
    wanted = (
        [each.similarity for each in old.thresholds]
        if settings.threshold is None
        else [settings.threshold]
    )
    same = old.same, new.same
    return tuple(pairs.moved(each, others, old.others, new.others, same) for each in wanted)


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
        notes=catalogue.notes,
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


def expect_one_or_two(folders: Sequence[Path]) -> None:
    """Raises ModelError."""
    if not 1 <= len(folders) <= 2:
        raise ModelError(f"model: expected one folder or two, got {len(folders)}")
