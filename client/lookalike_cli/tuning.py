"""`lookalike index tune`: what each engine takes to reach which recall, before a build."""

import math
from functools import partial
from pathlib import Path
from typing import Literal, cast

import click

from lookalike_cli.printing import json_option, print_json, print_table
from lookalike_cli.stores import saying_what_is_wrong
from search_service.build import BuildOptions, read_source
from search_service.build.source import SortedRows, sort_rows
from search_service.build.survey import Survey, published_rows, survey
from search_service.build.tune import Choice
from search_service.engines.opening import EngineMissing, check_installed
from search_service.manifest import EngineName
from search_service.options import DEFAULT_RECALL
from search_service.store import Store

Option = Literal["auto", "fastest"]
OPTIONS: tuple[Option, ...] = ("auto", "fastest")


@click.command("tune")
@click.argument("what")
@click.option(
    "--store",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="WHAT is an index of this store.",
)
@click.option(
    "--engine",
    "engines",
    multiple=True,
    type=click.Choice(["annoy", "graph"]),
    help="Default: every one that is installed.",
)
@click.option(
    "--target-recall",
    default=DEFAULT_RECALL,
    show_default=True,
    type=click.FloatRange(0, DEFAULT_RECALL),
    help="Where they are compared: at the most that callers ask an engine for.",
)
@click.option("--trees", default=50, show_default=True, type=click.IntRange(1, 1000))
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="A picture to draw: .png, .svg."
)
@json_option
@saying_what_is_wrong
def tune_command(
    what: str,
    store: Path | None,
    engines: tuple[str, ...],
    target_recall: float,
    trees: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Measure which engine is how fast at which recall over WHAT.

    \b
    lookalike index tune vectors/ --out curves.png
    lookalike index tune dresses --store store/

    WHAT is a folder that `lookalike embed` made, or with --store the name of an index. Nothing is
    kept but the picture. A build measures the same way and chooses by the same rule.
    """
    if out is not None:
        _check_drawing(out)
    wanted = [_installed(cast(EngineName, name)) for name in engines] or _all_installed()
    options = BuildOptions(target_recall=target_recall, trees=trees)
    found = survey(_rows(what, store), wanted, options)
    if out is not None:
        from lookalike_cli.curves import draw

        draw(found, out)
    if as_json:
        print_json(_json(found))
        return
    _print(found)
    if out is not None:
        click.echo(f"\n{out}")


def _check_drawing(out: Path) -> None:
    """Before the minutes of measuring, not after them."""
    if out.suffix not in (".png", ".svg"):
        raise click.UsageError(f"--out: expected a name in .png or .svg, got {out.name}")
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise click.ClickException(
            "--out: expected matplotlib, got none: pip install '.[plot]' in a checkout"
        ) from error


def _installed(engine: EngineName) -> EngineName:
    check_installed(engine)
    return engine


def _all_installed() -> list[EngineName]:
    engines: list[EngineName] = ["annoy"]
    try:
        return [*engines, _installed("graph")]
    except EngineMissing as error:
        click.echo(f"annoy alone: {error}", err=True)
    return engines


def _rows(what: str, store: Path | None) -> SortedRows:
    if store is not None:
        return published_rows(Store(store), what)
    if not Path(what).is_dir():
        raise click.UsageError(f"WHAT: expected a folder, or --store with an index, got {what}")
    return sort_rows(read_source(Path(what), {}))


def name_of(choice: Choice) -> str:
    """As tables and the picture have it: `annoy 48`, `graph, all dimensions`."""
    return f"{choice.engine} {choice.width}" if choice.width else f"{choice.engine}, all dimensions"


def _print(found: Survey) -> None:
    target = found.options.target_recall
    print_table(
        f"{found.photos:,} photos, {found.dimension} dimensions",
        ("engine, directions", "built in s ", "MB ", f"us a query at {target} ", "queries/s "),
        [
            *map(partial(_row, target), found.tried),
            ("exact", "", "", *_speed(found.scan_micros)),
        ],
    )
    for each in found.tried:
        print_table(
            f"\n{name_of(each)}",
            ("effort ", "compared ", "recall@10 ", "surely ", "us a query ", "queries/s "),
            [
                (
                    point.effort,
                    point.depth,
                    f"{point.recall:.4f}",
                    f"{point.sure_recall:.4f}",
                    *_speed(point.micros),
                )
                for point in each.efforts
            ],
        )
    click.echo()
    for engine in OPTIONS:
        click.echo(f"--engine {engine}: {_why(found, engine)}")


def _row(target: float, choice: Choice) -> tuple[str, ...]:
    size = f"{choice.bytes / 1e6:,.0f}"
    return name_of(choice), f"{choice.build_seconds:.1f}", size, *_speed(choice.micros(target))


def _speed(micros: float) -> tuple[str, str]:
    return ("-", "-") if math.isinf(micros) else (f"{micros:.0f}", f"{1e6 / micros:,.0f}")


def _why(found: Survey, engine: Option) -> str:
    target, chosen = found.options.target_recall, found.chosen(engine)
    if found.compares_all:
        return f"exact, as for every index of up to {found.options.exact_up_to:,} photos"
    if chosen is None:
        return "not measured"
    if not chosen.reaches(target):
        nearest = chosen.efforts[-1].sure_recall
        return f"{name_of(chosen)}: none surely reaches {target}; it comes nearest, {nearest:.4f}"
    words = f"{name_of(chosen)}, the fastest of those that it measures at a recall of {target}"
    times = found.scan_micros / chosen.micros(target)
    compared = f"{times:.1f} times as fast as exact"
    if times < 1:
        compared = f"but --engine exact takes {found.scan_micros:.0f} us"
    return f"{words}: {chosen.micros(target):.0f} us, {compared}"


def _json(found: Survey) -> dict[str, object]:
    target = found.options.target_recall
    return {
        "photos": found.photos,
        "dimension": found.dimension,
        "target_recall": target,
        "exact_micros": round(found.scan_micros, 1),
        "tried": [
            {
                "engine": each.engine,
                "width": each.width,
                "trees": each.trees,
                "build_seconds": round(each.build_seconds, 2),
                "bytes": each.bytes,
                "efforts": [
                    {
                        "effort": point.effort,
                        "depth": point.depth,
                        "recall": round(point.recall, 5),
                        "sure_recall": round(point.sure_recall, 5),
                        "micros": round(point.micros, 1),
                    }
                    for point in each.efforts
                ],
            }
            for each in found.tried
        ],
        "chosen": {engine: _chosen_json(found, engine) for engine in OPTIONS},
    }


def _chosen_json(found: Survey, engine: Option) -> dict[str, object] | None:
    if found.compares_all:
        return {"engine": "exact"}
    chosen = found.chosen(engine)
    return {"engine": chosen.engine, "width": chosen.width} if chosen else None
