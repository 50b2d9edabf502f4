"""What came of it: the figures, a short table, and what to try next."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote

import click

from embedder_service.judging.evaluate import Row
from embedder_service.training.data import Catalogue
from lookalike_cli.demo.calls import Tally
from lookalike_cli.demo.damage import Mishap
from lookalike_cli.demo.learn import Learned
from lookalike_cli.demo.scale import Scale
from lookalike_cli.demo.serve import INDEX, Found
from lookalike_cli.demo.story import Story
from lookalike_cli.printing import print_table


@dataclass(frozen=True, kw_only=True)
class Ending:
    """Everything the acts found out."""

    catalogue: Catalogue
    learned: Learned
    found: Found
    scale: Scale
    mishaps: tuple[Mishap, ...]
    recovery_seconds: float
    tally: Tally


def facts(story: Story, ending: Ending) -> dict[str, object]:
    """The last line: every figure by name, shares from 0 to 1, None where labels cannot say."""
    found, scale = ending.found, ending.scale
    chance, histogram, untrained, _ = (row.figures for row in ending.learned.rows)
    return {
        "images": len(ending.catalogue.photos),
        "items": len(ending.catalogue.items),
        "categories": len(ending.catalogue.categories),
        "damaged_images": len(ending.catalogue.damaged),
        "dimension": len(found.embeddings[0].values) // 4,
        "calls": ending.tally.calls,
        "failed_calls": len(ending.tally.failures),
        "calls_during_swap": scale.swaps.calls,
        "swaps": scale.swaps.count,
        "generations_served": list(scale.swaps.generations),
        "precision_at_10": _rounded(found.precision_at_10),
        "recall_at_1_item": _rounded(found.recall_at_1_item),
        "recall_at_1_new_item": _rounded(found.recall_at_1_new_item),
        "chance_recall_at_1": _rounded(chance.item_recall_at_1),
        "colour_histogram_recall_at_1": _rounded(histogram.item_recall_at_1),
        "untrained_recall_at_1": _rounded(untrained.item_recall_at_1),
        "recall_vs_exact": _rounded(min(scale.served_recall, found.recall_vs_exact)),
        "vectors_at_scale": scale.rows,
        "build_seconds_at_scale": round(scale.build_seconds, 1),
        "swap_seconds": round(scale.swaps.seconds, 1),
        "query_p50_ms": round(scale.query_p50_ms, 2),
        "query_p99_ms": round(scale.query_p99_ms, 2),
        "refused_generations": sum(mishap.refused_generation for mishap in ending.mishaps),
        "recovery_seconds": round(ending.recovery_seconds, 2),
        "seconds": round(story.seconds, 1),
    }


def not_judged(found: Found) -> list[str]:
    """What the catalogue's labels cannot say, in words."""
    said = []
    if found.recall_at_1_item is None:
        said.append(
            "No item is known to have two photos, so nobody can say whether a photo finds its own "
            "item: sort the photos as category/item/photo.jpg for that."
        )
    elif found.recall_at_1_new_item is None:
        said.append("No held-out photo is of an item that is new to the model.")
    if found.precision_at_10 is None:
        said.append("No photo has a category: sort them as category/photo.jpg for that.")
    return said


def not_learnt(rows: Sequence[Row]) -> list[str]:
    """What is to be said where the model finds no more items, or categories, than colours do."""
    _, histogram, _, model = (row.figures for row in rows)
    colours, learned = histogram.item_recall_at_1, model.item_recall_at_1
    if colours is None or learned is None:
        colours, learned = histogram.category_recall_at_1, model.category_recall_at_1
    if colours is None or learned is None or learned > colours:
        return []
    said = (
        "The model does no better here than a colour histogram: it has learnt too little. Bring "
        "more photos of more items, or start from ImageNet's weights."
    )
    return [said]


def say_what_is_next(story: Story, ending: Ending) -> None:
    """Where the pictures are, the table, and three commands."""
    out = story.out
    click.echo()
    if any(row.figures.as_dict() for row in ending.learned.rows):
        print_table(
            "Who finds the item of a held-out photo first?",
            ("", "items ", "items new to the model ", "category "),
            [
                (
                    row.name,
                    _percent(row.figures.item_recall_at_1),
                    _percent(row.figures.new_item_recall_at_1),
                    _percent(row.figures.category_recall_at_1),
                )
                for row in ending.learned.rows
            ],
        )
    for line in not_judged(ending.found) + not_learnt(ending.learned.rows):
        click.echo(line)
    print_table(
        f"\nTen nearest of {ending.scale.rows:,} vectors",
        ("", "ms a query ", "recall ", "build s "),
        [
            (
                method.name,
                f"{method.milliseconds:.2f}",
                f"{method.recall:.3f}",
                "" if method.build_seconds is None else f"{method.build_seconds:.1f}",
            )
            for method in ending.scale.methods
        ],
    )
    photo = ending.found.queries[0].path
    item = ending.found.answers[0].hits[0].item_id
    request = {"index": INDEX, "query": {"itemId": item}, "options": {"k": 3}}
    if ending.tally.failures:
        click.echo(f"\n{len(ending.tally.failures)} calls failed; the first: ", nl=False)
        click.echo(ending.tally.failures[0])
    click.echo(
        f"\npictures  {out / 'neighbours.png'}\nreport    {out / 'report.html'}\n\n"
        "Next (in .venv/bin, or after `source .venv/bin/activate`):\n"
        f"  lookalike up {quote(str(out))}\n"
        f"  lookalike search {quote(str(photo))}\n"
        "  buf curl --protocol grpc --http2-prior-knowledge "
        f"-d {quote(json.dumps(request, ensure_ascii=False))} "
        "http://127.0.0.1:50061/lookalike.search.v1.SearchService/Search\n"
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
