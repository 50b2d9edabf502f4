"""`lookalike explain`: what became of one request, from the services' logs."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from lookalike_cli.addresses import Up, none_found
from lookalike_cli.log_lines import LogLine, in_order, of_request
from lookalike_cli.printing import json_option, print_json

_NONE_FOUND = (
    "no line of these logs is of request {}: one call in LOG_CALLS_EVERY has one, and each that "
    "was slow or failed, up to ten a second"
)


@click.command()
@click.argument("request_id")
@click.argument(
    "logs", nargs=-1, type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
)
@click.option("--up", "folder", type=click.Path(path_type=Path), help="A running `lookalike up`.")
@json_option
def command(request_id: str, logs: tuple[Path, ...], folder: Path | None, as_json: bool) -> None:
    """Tell which replicas answered REQUEST_ID, from which generation, how, and what took the time.

    \b
    lookalike explain 9f3c2a
    lookalike explain 9f3c2a embedder.log search.log
    kubectl -n lookalike logs -l app.kubernetes.io/name=lookalike --all-containers --prefix \\
        --tail=-1 | lookalike explain 9f3c2a -

    LOGS are files of both services; - is standard input. Without any it reads those of the running
    `lookalike up`. Each answer of the client and each of its errors names its request_id.
    The exit code is 1 if the logs hold nothing of it.
    """
    found = in_order(
        line for log in logs or _logs_of_up(folder) for line in _lines(request_id, log)
    )
    if as_json:
        print_json({"request_id": request_id, "lines": [_as_json(line) for line in found]})
    elif found:
        click.echo("\n".join(told(request_id, found)))
    if not found:
        raise click.ClickException(_NONE_FOUND.format(request_id))


def told(request_id: str, lines: Sequence[LogLine]) -> Iterator[str]:
    """The story in sentences, a call after the other."""
    calls = [line for line in lines if line.is_call]
    yield f"request {request_id}: {_verdict(calls)}"
    for line in lines:
        yield ""
        yield from _call(line.fields, line) if line.is_call else _other(line.fields, line)
    yield from _missing_attempts(calls)


def _verdict(calls: Sequence[LogLine]) -> str:
    if not calls:
        return "no call's end is in these logs"
    last = calls[-1].fields
    seconds = max(
        (each.began - calls[0].began).total_seconds() + each.fields["micros"] / 1e6
        for each in calls
    )
    number = f"{len(calls)} call{'s' if len(calls) > 1 else ''}"
    return f"{last['code']} after {seconds * 1000:.1f} ms, {number}"


def _call(call: Mapping[str, Any], line: LogLine) -> Iterator[str]:
    attempt = f", attempt {call['attempt']}" if call.get("attempt", 1) > 1 else ""
    outcome = " ".join(str(call[name]) for name in ("code", "reason", "field") if name in call)
    took = f"{call['micros'] / 1000:.1f} ms"
    yield f"{_head(line)}: {_method(call['method'])}{attempt}: {outcome} in {took}"
    for sentence in (_asked(call), _answered(call), _stages(call), _who(call)):
        if sentence:
            yield f"    {sentence}"


def _asked(call: Mapping[str, Any]) -> str:
    if "images" in call:
        images = f"{call['images']} image{'s' if call['images'] > 1 else ''}"
        vectors = f" for {call['vectors']} vectors" if call["vectors"] != call["images"] else ""
        return f"{images}{vectors}, {call['priority']}"
    if "k" not in call:
        return ""
    queries = f"{call['queries']} queries" if call["queries"] > 1 else "a query"
    parts = [f"{queries} by {call['target']}, k {call['k']}, recall {call['recall']:g}"]
    if call.get("eased"):
        parts[0] += " (lowered: too many calls waited)"
    if call.get("conditions"):
        parts.append(f"where {'; '.join(call['conditions'])}")
    return ", ".join([*parts, *call.get("options", ())])


def _answered(call: Mapping[str, Any]) -> str:
    parts = []
    if "index" in call:
        number = f" generation {call['generation']}" if "generation" in call else ""
        parts.append(f"index {call['index']}{number}")
    if "space_id" in call:
        parts.append(f"space {call['space_id'][:8]}")
    if "engine" in call:
        parts.append(f"{call['engine']}, effort {call['effort']}")
    if "hits" in call:
        parts.append(f"{call['hits']} hits")
    parts += [f"{name} {count}" for name, count in call.get("shortfall", {}).items()]
    parts += [f"{count} {reason}" for reason, count in call.get("images_refused", {}).items()]
    return ", ".join(parts)


def _stages(call: Mapping[str, Any]) -> str:
    stages = call.get("stage_micros", {})
    rest = call["micros"] - sum(stages.values())
    named = [*stages.items(), ("rest", max(0, rest))]
    return "ms: " + ", ".join(f"{name} {micros / 1000:.1f}" for name, micros in named)


def _who(call: Mapping[str, Any]) -> str:
    named = (("caller", "caller"), ("trace", "trace_id"))
    return ", ".join(f"{name} {call[key]}" for name, key in named if key in call)


def _other(fields: Mapping[str, Any], line: LogLine) -> Iterator[str]:
    yield f"{_head(line)}: {fields['level']} {fields['event']}"
    if traceback := fields.get("traceback"):
        yield f"    {traceback.strip().splitlines()[-1]}"


def _head(line: LogLine) -> str:
    service = line.fields.get("service", "?")
    log = "" if line.source in (service, line.replica) else f" ({line.source})"
    return f"{line.began:%H:%M:%S.%f}"[:-3] + f"Z {service} {line.replica}{log}"


def _method(name: str) -> str:
    return name.rpartition("/")[2]


def _missing_attempts(calls: Sequence[LogLine]) -> Iterator[str]:
    by_method: dict[str, set[int]] = {}
    for each in calls:
        by_method.setdefault(each.fields["method"], set()).add(each.fields.get("attempt", 1))
    for method, seen in by_method.items():
        if missing := sorted(set(range(1, max(seen))) - seen):
            numbers = ", ".join(map(str, missing))
            yield ""
            yield (
                f"{_method(method)}: of attempt {numbers} there is no line: it reached no replica, "
                "or one whose log is not here"
            )


def _as_json(line: LogLine) -> dict[str, Any]:
    return {"source": line.source, **line.fields}


def _logs_of_up(folder: Path | None) -> Sequence[Path]:
    up = Up.find_folder(folder)
    if up is None:
        raise none_found(
            "LOGS: expected files, - for standard input, or a running `lookalike up DIR`", folder
        )
    return sorted((up / "logs").glob("*.log"))


def _lines(request_id: str, log: Path) -> Iterator[LogLine]:
    with click.open_file(str(log), encoding="utf-8", errors="replace") as lines:
        yield from of_request(request_id, log.stem, lines)
