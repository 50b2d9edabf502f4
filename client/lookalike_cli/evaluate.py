"""`lookalike evaluate`: how good a model is, as figures and as a page to send around."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from rich.console import Console

from embedder_service.judging.findings import ClassRow, Findings, Standing
from embedder_service.judging.findings import as_json as json_of
from embedder_service.judging.judge import Ask, Judged, Settings, judge, read_models
from embedder_service.judging.page import page, percent
from embedder_service.judging.words import headline, not_judged
from embedder_service.spec import ModelError
from embedder_service.training.catalogue_options import catalogue_options
from embedder_service.training.data import Catalogue, CatalogueError
from embedder_service.training.progress import Ticker
from embedder_service.training.read import read_catalogue
from embedder_service.training.writable import expect_writable
from lookalike_cli.judged_index import IndexProblem, over_a_store, over_an_address, over_its_own
from lookalike_cli.printing import json_option, print_table
from lookalike_cli.processes import NotServing
from lookalike_cli.up import signals_raising_interrupt

_KINDS = {"auto": None, "held-out": "held-out", "each": "each"}
_DEFAULT = Settings()
_COLUMNS = ("", "item r@1 ", "r@5 ", "mAP ", "category r@1 ", "mAP ")
_CLASS_COLUMNS = ("", "told by", "top-1 ", "top-3 ", "top-5 ")


class Refused(click.ClickException):
    """Nothing was judged: the message says what was expected instead."""

    exit_code = 2


@click.command()
@catalogue_options
@click.option(
    "--model",
    "folders",
    multiple=True,
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="A model's folder. Twice: the one in use first, then the one to take its place.",
)
@click.option("--search", metavar="HOST:PORT", help="A search service to go through.")
@click.option(
    "--store",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A store to start a search service over.",
)
@click.option("--index", help="The index there; it must be of the (last) model's space.")
@click.option(
    "--queries",
    "kind",
    default="auto",
    show_default=True,
    type=click.Choice(list(_KINDS)),
    help="held-out: those that a training on this catalogue does not see. each: every photo "
    "among all others, for a catalogue that the model never saw. auto: held-out where there are "
    "such.",
)
@click.option(
    "--most-queries",
    default=_DEFAULT.most_queries,
    show_default=True,
    type=click.IntRange(min=1),
    help="More are sampled.",
)
@click.option(
    "--weights",
    default=_DEFAULT.weights,
    show_default=True,
    help="Of the backbone to compare with: imagenet, none, a file, or auto (ImageNet's where "
    "possible).",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="A similarity in use with the first of two models, to be carried over.",
)
@click.option(
    "--duplicates-above",
    default=0.0,
    show_default="as near as recompressed copies",
    type=click.FloatRange(0, 1),
    help="From which similarity on two photos are near-duplicates.",
)
@click.option(
    "--out",
    default=Path("evaluation"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where report.html and report.json go.",
)
@json_option
def command(
    catalogue: Path,
    format_name: str,
    no_boxes: bool,
    folders: tuple[Path, ...],
    search: str | None,
    store: Path | None,
    index: str | None,
    kind: str,
    out: Path,
    as_json: bool,
    **options: object,
) -> None:
    """Judge a model on CATALOGUE: figures, pictures, one page that holds them all.

    \b
    lookalike evaluate photos/ --model models/72d2...
    lookalike evaluate photos/ --model models/old... --model models/new...
    lookalike evaluate photos/ --model models/72d2... --search 127.0.0.1:50061 --index dresses

    Without --search or --store an index of the catalogue's gallery is built, served and asked, and
    is gone afterwards. The exit code is 2 where something cannot be judged.
    """
    console = Console(stderr=True, quiet=as_json)
    settings = Settings(kind=_KINDS[kind], **options)  # type: ignore[arg-type]
    if settings.threshold is not None and len(folders) != 2:
        raise click.UsageError("--threshold: expected two models, got one")
    with _refusing(), signals_raising_interrupt(), ExitStack() as stack:
        expect_writable("out", out)
        models = read_models(folders)
        ask = _ask(models[-1], search, store, index, stack, _saying(console))
        photos = _read(catalogue, format_name, not no_boxes, console)
        with Ticker("embedding", console) as ticker:
            found = judge(photos, models, settings, ask, _saying(console), ticker.on_step)
        _saying(console)("drawing the page ...")
        facts = {**json_of(found), "report": str(out / "report.html")}
        _put(out / "report.html", page(found, photos.photos))
        _put(out / "report.json", json.dumps(facts, indent=1) + "\n")
    if as_json:
        click.echo(json.dumps(facts))
    else:
        _print(found, out)


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (CatalogueError, ModelError, IndexProblem, NotServing, OSError) as error:
        raise Refused(str(error)) from error


def _ask(
    model: Judged,
    search: str | None,
    store: Path | None,
    index: str | None,
    stack: ExitStack,
    say: Callable[[str], None],
) -> Ask:
    if search and store:
        raise click.UsageError("--search: expected it or --store, got both")
    if bool(index) != bool(search or store):
        raise click.UsageError("--index: expected it together with --search or --store")
    if search:
        return over_an_address(search, str(index), model, stack)
    if store:
        return over_a_store(store, str(index), model, stack)
    return over_its_own(model, stack, say)


def _read(place: Path, format_name: str, boxes: bool, console: Console) -> Catalogue:
    with Ticker("looking at every photo", console) as ticker:
        catalogue = read_catalogue(place, format_name, boxes=boxes, on_step=ticker.on_step)
    for damaged in catalogue.damaged:
        _saying(console)(f"left out: {damaged.path}: {damaged.reason}")
    return catalogue


def _saying(console: Console) -> Callable[[str], None]:
    """As it is: a path may hold what rich would take for markup."""
    return lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True)


def _put(path: Path, text: str) -> None:
    """Whole, or as it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8", errors="replace")
    temporary.replace(path)


def _print(found: Findings, out: Path) -> None:
    click.echo(f"{headline(found)}\n")
    print_table("", _COLUMNS, [_line(row) for row in found.standings])
    if found.classification:
        click.echo()
        print_table("", _CLASS_COLUMNS, [_class_line(row) for row in found.classification.rows])
    for line in not_judged(found):
        click.echo(f"\n{line}")
    click.echo(f"\nreport  {out / 'report.html'}\nfigures {out / 'report.json'}")


def _line(row: Standing) -> tuple[str, ...]:
    item, category = row.item, row.category
    return (
        row.name,
        percent(item.recall_at_1 if item else None),
        percent(item.recall_at_5 if item else None),
        percent(item.mean_average_precision if item else None),
        percent(category.recall_at_1 if category else None),
        percent(category.mean_average_precision if category else None),
    )


def _class_line(row: ClassRow) -> tuple[str, ...]:
    shares = (row.accuracy.top_1, row.accuracy.top_3, row.accuracy.top_5)
    return row.name, row.way, *map(percent, shares)
