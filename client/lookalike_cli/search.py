"""`lookalike search`: the neighbours of a photo or an item."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click
from lookalike.search.v1 import search_pb2
from lookalike_client import Accuracy, Answer, AttributeValue, Client, Hit, SearchOptions, filters

from lookalike_cli.addresses import connect, connection_options
from lookalike_cli.printing import json_option, print_json, print_table

_READERS: Mapping[int, Callable[[str], AttributeValue]] = {
    search_pb2.ATTRIBUTE_TYPE_STRING: str,
    search_pb2.ATTRIBUTE_TYPE_STRINGS: str,
    search_pb2.ATTRIBUTE_TYPE_INT64: int,
    search_pb2.ATTRIBUTE_TYPE_DOUBLE: float,
    search_pb2.ATTRIBUTE_TYPE_BOOL: lambda text: {"true": True, "false": False}[text.lower()],
    search_pb2.ATTRIBUTE_TYPE_TIMESTAMP: lambda text: datetime.fromisoformat(text).astimezone(),
}
_COMPARISONS: Mapping[str, Callable[[str, AttributeValue], filters.Filter]] = {
    "=": filters.equal,
    ">=": lambda name, value: filters.between(name, at_least=value),
    "<=": lambda name, value: filters.between(name, at_most=value),
    ">": lambda name, value: filters.between(name, above=value),
    "<": lambda name, value: filters.between(name, below=value),
}
_CONDITION = re.compile(r"([^=<>]+)(>=|<=|=|>|<)(.*)", re.DOTALL)
_SHARE = click.FloatRange(0.0, 1.0)


@click.command()
@click.argument(
    "photo", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--item", metavar="ID", help="Search by an item of the index instead of a photo.")
@click.option("--index", metavar="NAME", help="Default: the one there is.")
@click.option(
    "--k", default=10, show_default=True, type=click.IntRange(1, 1000), help="How many items."
)
@click.option(
    "--where",
    multiple=True,
    metavar="NAME=VALUE",
    help="Only items with this attribute; also NAME>=VALUE, <=, >, <.",
)
@click.option("--exclude", multiple=True, metavar="ID", help="Leave this item out.")
@click.option(
    "--min-similarity", default=0.0, type=_SHARE, help="The least similarity, from 0 to 1."
)
@click.option("--max-per", metavar="NAME=N", help="At most N items with one value of NAME.")
@click.option(
    "--diversity",
    default=0.0,
    type=_SHARE,
    help="From 0, the nearest, to 1, the most unlike one another.",
)
@click.option(
    "--accuracy",
    type=click.Choice([accuracy.value for accuracy in Accuracy]),
    help="How many of the true nearest to find. Default: 99 %.",
)
@connection_options
@json_option
def command(
    photo: Path | None,
    item: str | None,
    index: str | None,
    k: int,
    where: tuple[str, ...],
    exclude: tuple[str, ...],
    min_similarity: float,
    max_per: str | None,
    diversity: float,
    accuracy: str | None,
    embedder: str | None,
    search: str | None,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Print the items that look most like PHOTO.

    \b
    lookalike search photo.jpg
    lookalike search photo.jpg --k 5 --where colour=red --where "price<50"
    lookalike search photo.jpg --min-similarity 0.7 --max-per category=2 --diversity 0.3
    lookalike search --item d-17 --accuracy exact
    """
    if (photo is None) == (item is None):
        raise click.UsageError("PHOTO, --item: expected one of the two")
    needed = ("search",) if photo is None else ("embedder", "search")
    with connect(embedder, search, folder, needed=needed) as client:
        name = index or only_index(client)
        options: SearchOptions = {
            "k": k,
            "filters": parse_conditions(client, name, where),
            "exclude": exclude,
            "minimum_similarity": min_similarity,
            "max_per_value": parse_cap(max_per),
            "diversity": diversity,
            "accuracy": Accuracy(accuracy) if accuracy else None,
            "include_attributes": True,
        }
        if photo is not None:
            answer = client.similar(name, photo.read_bytes(), **options)
        else:
            answer = client.search_item(name, item or "", **options)
    if as_json:
        print_json(_as_json(name, answer))
    else:
        _print(name, answer)


def only_index(client: Client) -> str:
    names = sorted({entry.index for entry in client.indexes()})
    if len(names) == 1:
        return names[0]
    if not names:
        raise click.ClickException("index: expected one to be served, got none")
    raise click.UsageError(f"--index: expected one of {', '.join(names)}, got none")


def parse_conditions(client: Client, index: str, where: tuple[str, ...]) -> list[filters.Filter]:
    """Conditions from ("colour=red", "price<50"), each value of its attribute's type."""
    if not where:
        return []
    attributes = client.index(index).served[0].attributes
    types = {attribute.name: attribute.type for attribute in attributes}
    return [_condition(text, types) for text in where]


def parse_cap(text: str | None) -> tuple[str, int] | None:
    """("brand", 2) from "brand=2"."""
    if text is None:
        return None
    name, _, count = text.rpartition("=")
    if not name or not count.isdecimal():
        raise click.UsageError(f"--max-per: expected NAME=N, got {text!r}")
    return name, int(count)


def _condition(text: str, types: dict[str, search_pb2.AttributeType.ValueType]) -> filters.Filter:
    parts = _CONDITION.fullmatch(text)
    if parts is None:
        raise click.UsageError(f"--where: expected NAME=VALUE, got {text!r}")
    name, comparison, value = parts.groups()
    if name not in types:
        known = ", ".join(sorted(types)) or "no attributes"
        raise click.UsageError(f"--where: expected an attribute ({known}), got {name!r}")
    try:
        wanted = _READERS[types[name]](value)
    except (KeyError, ValueError) as error:
        kind = search_pb2.AttributeType.Name(types[name]).removeprefix("ATTRIBUTE_TYPE_").lower()
        raise click.UsageError(f"--where: expected {name} as {kind}, got {value!r}") from error
    return _COMPARISONS[comparison](name, wanted)


def _print(index: str, answer: Answer) -> None:
    names = sorted({name for hit in answer.hits for name in hit.attributes})
    rows = [_row(place, hit, names) for place, hit in enumerate(answer.hits, 1)]
    columns = ("# ", "item", "photo", "similarity ", "distance ", *names)
    print_table(f"{index}, generation {answer.generation}, {answer.engine}", columns, rows)
    if answer.shortfall != "none":
        click.echo(f"{len(rows)} found: {answer.shortfall.replace('_', ' ')}")
    click.echo(f"request {answer.request_id}")


def _row(place: int, hit: Hit, names: list[str]) -> tuple[object, ...]:
    shown = (_shown(hit.attributes.get(name, "")) for name in names)
    return (
        place,
        hit.item_id,
        hit.photo_id,
        f"{hit.similarity:.3f}",
        f"{hit.distance:.3f}",
        *shown,
    )


def _shown(value: AttributeValue) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _as_json(index: str, answer: Answer) -> dict[str, object]:
    return {
        "index": index,
        "hits": [
            {
                "item_id": hit.item_id,
                "photos": [asdict(photo) for photo in hit.photos],
                "attributes": dict(hit.attributes),
            }
            for hit in answer.hits
        ],
        "shortfall": answer.shortfall,
        "generation": answer.generation,
        "space_id": answer.space_id,
        "engine": answer.engine,
        "effort": answer.effort,
        "stage_micros": dict(answer.stage_micros),
        "request_id": answer.request_id,
    }
