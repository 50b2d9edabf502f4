"""What the retrieval recipe is worth over the articles' own, on items that no training saw.

Both train the same backbone from the same start on the same photos of the sample catalogue, for as
many epochs, to vectors of the same dimension. Every photo of the new items is then looked for among
all other photos; what comes first should be its own item. Several seeds, so that the spread is
known. Each finished training is kept under build/bench/quality and not repeated; one that was
interrupted goes on after its last epoch.

    python -m benchmarks.quality --seeds 0            one seed
    python -m benchmarks.quality --gpu                resnet152 at side 224, on a GPU
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean

import torch
from rich.console import Console

from benchmarks.quality_figures import COSTS, Judged, judged, untrained
from benchmarks.record import record, table
from embedder_service.training.data import Catalogue
from embedder_service.training.finetune import Epoch, finetune
from embedder_service.training.progress import Ticker, epoch_lines
from embedder_service.training.read import read_catalogue
from embedder_service.training.run import Run
from embedder_service.training.sample import SampleSettings, draw
from embedder_service.training.settings import FinetuneSettings

BUILD = Path("build/bench/quality")
RECIPES = ("article", "retrieval")
CLASS_FIGURES = ("top_1", "top_3", "top_5")


@dataclass(frozen=True, kw_only=True)
class Size:
    """What is drawn and how it is learnt, the same for both recipes."""

    sample: SampleSettings
    settings: FinetuneSettings
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def folder(self) -> Path:
        """Another size, another folder."""
        text = json.dumps(
            [asdict(replace(self.sample, workers=0)), asdict(self.settings)], sort_keys=True
        )
        return BUILD / hashlib.sha256(text.encode()).hexdigest()[:12]


# The drawing was chosen before the trainings that are reported: docs/learning.md.
CPU = Size(
    sample=SampleSettings(items=300, photos_per_item=8, side=128, new_item_share=0.3),
    settings=FinetuneSettings(backbone="resnet18", weights="none", side=96, epochs=10),
)
GPU = Size(
    sample=SampleSettings(items=3000, photos_per_item=10, side=256, new_item_share=0.3, workers=16),
    settings=FinetuneSettings(
        backbone="resnet152", weights="none", side=224, epochs=20, batch=64, device="cuda"
    ),
    seeds=(0,),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="retrieval against article, over seeds")
    parser.add_argument("--seeds", type=int, nargs="+", help="which; all three by default")
    parser.add_argument("--gpu", action="store_true", help="resnet152 at side 224 on a GPU")
    parser.add_argument("--items", type=int)
    parser.add_argument("--photos", type=int, help="of an item")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--side", type=int)
    asked = parser.parse_args(arguments)
    if asked.gpu and not torch.cuda.is_available():
        print("no GPU here: torch finds none, so nothing was trained and nothing is recorded")
        sys.exit(3)
    full = GPU if asked.gpu else CPU
    size = _sized(full, asked)
    name = "quality_gpu" if asked.gpu else "quality"
    console = Console(stderr=True)
    catalogue = _catalogue(size, console)
    results = {
        recipe: [_result(size, catalogue, recipe, seed, console) for seed in size.seeds]
        for recipe in RECIPES
    }
    figures = _figures(size, catalogue, results)
    _print(results, figures)
    record(name, figures, is_full_size=size == full)


def _sized(full: Size, asked: argparse.Namespace) -> Size:
    drawn = {"items": asked.items, "photos_per_item": asked.photos}
    learnt = {"epochs": asked.epochs, "side": asked.side}
    return Size(
        sample=replace(full.sample, **{name: n for name, n in drawn.items() if n}),
        settings=replace(full.settings, **{name: n for name, n in learnt.items() if n}),
        seeds=tuple(asked.seeds) if asked.seeds else full.seeds,
    )


def _catalogue(size: Size, console: Console) -> Catalogue:
    """Drawn once: the lists come last, so that a torn drawing is begun again."""
    folder = size.folder / "photos"
    if not (folder / "Eval").exists():
        with Ticker("drawing", console) as ticker:
            draw(folder, size.sample, ticker.on_step)
    return read_catalogue(folder)


def _result(size: Size, catalogue: Catalogue, recipe: str, seed: int, console: Console) -> Judged:
    """Trained and judged, or what an earlier start has left."""
    folder = size.folder / f"{recipe}-{seed}"
    path = folder / "judged.json"
    if path.exists():
        console.print(f"{recipe}, seed {seed}: done before")
        return Judged(**json.loads(path.read_text()))
    console.print(f"{recipe}, seed {seed}:")
    settings = replace(size.settings, recipe=recipe, seed=seed)
    run = Run(folder)
    run.begin(catalogue, settings, restart=False)
    speeds: list[float] = []

    def told(epoch: Epoch) -> None:
        speeds.append(epoch.photos_per_second)
        console.print(epoch_lines(epoch), highlight=False)

    with Ticker("training", console) as ticker:
        model = finetune(catalogue, settings, told, ticker.on_step, keeper=run)
    began = time.perf_counter()
    found = replace(judged(catalogue, model), photos_per_second=mean(speeds))
    path.write_text(json.dumps(asdict(found)) + "\n")
    console.print(
        f"{recipe}, seed {seed}: recall@1 {found.recall_at_1:.3f} on new items "
        f"(judged in {time.perf_counter() - began:.0f} s)"
    )
    return found


def _figures(
    size: Size, catalogue: Catalogue, results: dict[str, list[Judged]]
) -> dict[str, object]:
    article, retrieval = (results[recipe] for recipe in RECIPES)
    ratios = [
        ours.recall_at_1 / theirs.recall_at_1
        for ours, theirs in zip(retrieval, article, strict=True)
    ]
    return {
        "recall_at_1_ratio": mean(ratios),
        "recall_at_1_ratio_by_seed": ratios,
        "class_points": {
            name: 100 * (_mean(retrieval, name) - _mean(article, name)) for name in CLASS_FIGURES
        },
        "l2_and_pca": {
            recipe: {cost: mean(one.costs[cost] for one in of) for cost in COSTS}
            for recipe, of in results.items()
        },
        "untrained": untrained(catalogue, size.settings),
        "by_recipe": {recipe: [asdict(one) for one in of] for recipe, of in results.items()},
        "seeds": list(size.seeds),
        "photos": len(catalogue.photos),
        "items": len(catalogue.items),
        "new_items": len(catalogue.new_items),
        "settings": {
            name: getattr(size.settings, name)
            for name in ("backbone", "weights", "side", "epochs", "batch", "dimension")
        },
        "torch": torch.__version__,
    }


def _print(results: dict[str, list[Judged]], figures: dict[str, object]) -> None:
    names = ("recall_at_1", *CLASS_FIGURES, "photos_per_second")
    rows = [(recipe, *(_spread(of, name) for name in names)) for recipe, of in results.items()]
    table("On new items: means over seeds (least to most)", ("recipe", *names), rows)
    print(f"untrained: recall_at_1 {figures['untrained']:.3f}")
    table(
        "recall@1 by what is done to the vectors",
        ("recipe", *COSTS),
        [
            (recipe, *(mean(one.costs[cost] for one in of) for cost in COSTS))
            for recipe, of in results.items()
        ],
    )
    print(f"recall_at_1_ratio: {figures['recall_at_1_ratio']:.3f}")


def _spread(of: Sequence[Judged], name: str) -> str:
    values = [getattr(one, name) for one in of]
    return f"{mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _mean(of: Sequence[Judged], name: str) -> float:
    return mean(float(getattr(one, name)) for one in of)


if __name__ == "__main__":
    main()
