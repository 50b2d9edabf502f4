"""`lookalike search`: the neighbours of a photo or an item."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click
from lookalike.search.v1 import search_pb2
from lookalike_client import Accuracy, Answer, AttributeValue, Client, Hit, SearchOptions

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
    "--where", multiple=True, metavar="NAME=VALUE", help="Only items with this attribute."
)
@click.option(
    "--accuracy",
    type=click.Choice([accuracy.value for accuracy in Accuracy]),
    help="How many of the true nearest to find. Default: the index's target.",
)
@connection_options
@json_option
def command(
    photo: Path | None,
    item: str | None,
    index: str | None,
    k: int,
    where: tuple[str, ...],
    accuracy: str | None,
    embedder: str | None,
    search: str | None,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Print the items that look most like PHOTO.

    \b
    lookalike search photo.jpg
    lookalike search photo.jpg --k 5 --where colour=red --where category=dress
    lookalike search --item d-17 --accuracy exact
    """
    if (photo is None) == (item is None):
        raise click.UsageError("PHOTO, --item: expected one of the two")
    needed = ("search",) if photo is None else ("embedder", "search")
    with connect(embedder, search, folder, needed=needed) as client:
        name = index or only_index(client)
        options: SearchOptions = {
            "k": k,
            "where": parse_conditions(client, name, where),
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


def parse_conditions(
    client: Client, index: str, where: tuple[str, ...]
) -> dict[str, AttributeValue]:
    """{"colour": "red"} from ("colour=red",), each value of its attribute's type."""
    if not where:
        return {}
    attributes = client.index(index).served[0].attributes
    types = {attribute.name: attribute.type for attribute in attributes}
    return dict(_condition(text, types) for text in where)


def _condition(
    text: str, types: dict[str, search_pb2.AttributeType.ValueType]
) -> tuple[str, AttributeValue]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--where: expected NAME=VALUE, got {text!r}")
    if name not in types:
        known = ", ".join(sorted(types)) or "no attributes"
        raise click.UsageError(f"--where: expected an attribute ({known}), got {name!r}")
    try:
        return name, _READERS[types[name]](value)
    except (KeyError, ValueError) as error:
        kind = search_pb2.AttributeType.Name(types[name]).removeprefix("ATTRIBUTE_TYPE_").lower()
        raise click.UsageError(f"--where: expected {name} as {kind}, got {value!r}") from error


def _print(index: str, answer: Answer) -> None:
    names = sorted({name for hit in answer.hits for name in hit.attributes})
    rows = [_row(place, hit, names) for place, hit in enumerate(answer.hits, 1)]
    columns = ("# ", "item", "photo", "similarity ", "distance ", *names)
    print_table(f"{index}, generation {answer.generation}, {answer.engine}", columns, rows)
    if answer.shortfall != "none":
        click.echo(f"{len(rows)} found: {answer.shortfall.replace('_', ' ')}")


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
