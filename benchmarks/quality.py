"""What the retrieval recipe is worth over the articles' own, on items that no training saw.

Both train the same backbone from the same start on the same photos of the sample catalogue, for as
many epochs, to vectors of the same dimension. Every photo of the items that are new to it is then
looked for among all other photos; its own item should come first. Several seeds show the spread.
Each finished training is kept under build/bench/quality and not repeated; one that was interrupted
goes on after its last epoch.

    python -m benchmarks.quality --seeds 0            one seed
    python -m benchmarks.quality --gpu                resnet152 at side 224, on a GPU
    python -m benchmarks.quality --deepfashion DIR    the articles' table, from DeepFashion itself
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

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
    """What is drawn (nothing where a data set is at hand) and how both recipes learn it."""

    sample: SampleSettings | None
    settings: FinetuneSettings
    seeds: tuple[int, ...] = (0, 1, 2)

    @property
    def name(self) -> str:
        """Another size, another name."""
        drawn = asdict(replace(self.sample, workers=0)) if self.sample else None
        text = json.dumps([drawn, asdict(self.settings)], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


# The catalogue is the one that everything here draws by default: not chosen by these figures.
CPU = Size(
    sample=SampleSettings(),
    settings=FinetuneSettings(backbone="resnet18", weights="none", side=96, epochs=12),
)
GPU = Size(
    sample=SampleSettings(items=3000, photos_per_item=10, side=256, new_item_share=0.3, workers=16),
    settings=FinetuneSettings(
        backbone="resnet152", weights="none", side=224, epochs=20, batch=64, device="cuda"
    ),
    seeds=(0,),
)
# As the articles trained: 10 epochs at side 224 from ImageNet's weights.
DEEPFASHION = Size(
    sample=None,
    settings=FinetuneSettings(
        backbone="resnet152", weights="imagenet", side=224, epochs=10, small_epochs=0, batch=64
    ),
    seeds=(0,),
)
ARTICLE = {"top_1": 0.697, "top_3": 0.884, "top_5": 0.9398}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="retrieval against article, over seeds")
    parser.add_argument("--seeds", type=int, nargs="+", help="which; all three by default")
    parser.add_argument("--gpu", action="store_true", help="resnet152 at side 224 on a GPU")
    parser.add_argument("--deepfashion", type=Path, metavar="DIR", help="the articles' table")
    parser.add_argument("--weights", help="the body's: none, imagenet, or torchvision's file")
    parser.add_argument("--items", type=int, help="to draw")
    parser.add_argument("--photos", type=int, help="of an item")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--side", type=int)
    parser.add_argument("--folder", type=Path, default=BUILD, help="what is done is kept there")
    asked = parser.parse_args(arguments)
    if asked.gpu and not torch.cuda.is_available():
        print("no GPU here: torch finds none, so nothing was trained and nothing is recorded")
        sys.exit(3)
    name = "quality_deepfashion" if asked.deepfashion else "quality_gpu" if asked.gpu else "quality"
    full = {"quality": CPU, "quality_gpu": GPU, "quality_deepfashion": DEEPFASHION}[name]
    size = _sized(full, asked)
    console = Console(stderr=True)
    folder = asked.folder / size.name
    if size.sample:
        catalogue = _drawn(size.sample, folder / "photos", console)
    else:
        catalogue = read_catalogue(asked.deepfashion)
    results = {
        recipe: [
            _result(
                replace(size.settings, recipe=recipe, seed=seed),
                catalogue,
                folder / f"{recipe}-{seed}",
                console,
            )
            for seed in size.seeds
        ]
        for recipe in RECIPES
    }
    figures = _figures(size, catalogue, results)
    _print(size, results, figures)
    record(name, figures, is_full_size=size == full)


def _sized(full: Size, asked: argparse.Namespace) -> Size:
    drawn = {"items": asked.items, "photos_per_item": asked.photos}
    learnt = {"epochs": asked.epochs, "side": asked.side, "weights": asked.weights}
    return Size(
        sample=full.sample and replace(full.sample, **_given(drawn)),
        settings=replace(full.settings, **_given(learnt)),
        seeds=tuple(asked.seeds) if asked.seeds else full.seeds,
    )


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _drawn(sample: SampleSettings, folder: Path, console: Console) -> Catalogue:
    """Drawn once: the lists come last, so that a torn drawing is begun again."""
    if not (folder / "Eval").exists():
        with Ticker("drawing", console) as ticker:
            draw(folder, sample, ticker.on_step)
    return read_catalogue(folder)


def _result(
    settings: FinetuneSettings, catalogue: Catalogue, folder: Path, console: Console
) -> Judged:
    """Trained and judged, or what an earlier start has left."""
    path = folder / "judged.json"
    what = f"{settings.recipe}, seed {settings.seed}"
    if path.exists():
        console.print(f"{what}: done before")
        return Judged(**json.loads(path.read_text()))
    console.print(f"{what}:")
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
        f"{what}: recall@1 {found.recall_at_1:.3f} on new items "
        f"(judged in {time.perf_counter() - began:.0f} s)"
    )
    return found


def _figures(
    size: Size, catalogue: Catalogue, results: dict[str, list[Judged]]
) -> dict[str, object]:
    article, retrieval = (results[recipe] for recipe in RECIPES)
    ratios = [
        ours.recall_at_1 / max(theirs.recall_at_1, 1e-9)
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
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
    }


def _print(size: Size, results: dict[str, list[Judged]], figures: dict[str, object]) -> None:
    names = ("recall_at_1", *CLASS_FIGURES, "photos_per_second")
    rows = [(recipe, *(_spread(of, name) for name in names)) for recipe, of in results.items()]
    if size.sample is None:
        rows.append(("the article", "", *(f"{share:.3f}" for share in ARTICLE.values()), ""))
    table("Means over seeds (least to most)", ("recipe", *names), rows)
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
