"""What is wrong with a fleet, a sentence each: what replicas say, and what their answers add up to.

Each sentence is said once, whichever replicas it comes from.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from lookalike_cli.printing import age
from lookalike_cli.status_line import Line

# As the alert CanaryDrift: an embedder that differs from its golden photos by more than this.
LEAST_GOLDEN_COSINE = 0.999
REFUSED_SHOWN = 3
LATELY = timedelta(days=1)
# As the alert StoreUnread. A generation that is taken in, too, keeps a replica from looking.
UNREAD = timedelta(minutes=15)


def troubles(lines: Sequence[Line]) -> list[str]:
    """In the order of how much they hurt."""
    said = [
        *_unreachable(lines),
        *_not_ready(lines),
        *_spaces(lines),
        *_store_unread(lines),
        *_without_current(lines),
        *_refused(lines),
        *_unserved(lines),
        *_split(lines),
        *_holds(lines),
        *_pins(lines),
        *_drifted(lines),
        *_failed(lines),
    ]
    return list(dict.fromkeys(said))


def _unreachable(lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        if not line.state.reachable:
            yield f"{line.service} {line.address}: does not answer: {line.state.trouble}"


def _not_ready(lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        if line.service == "search" and line.state.reachable and not line.state.ready:
            yield f"search {line.address}: not ready, so that no caller is sent there: {_why(line)}"


def _why(line: Line) -> str:
    missing = ", ".join(_missing(line))
    return f"it does not serve {missing} yet" if missing else "it has not read its store yet"


def _missing(line: Line) -> Iterator[str]:
    """What LOOKALIKE_SEARCH_REQUIRED names and the replica does not serve."""
    stored = {each.index for each in line.state.stored}
    for index in line.state.missing:
        # A replica that sees nothing in its store may not see the store.
        yield f"{index} (not in the store)" if stored and index not in stored else index


def _spaces(lines: Sequence[Line]) -> Iterator[str]:
    """An embedder whose vectors nobody takes; nothing to say while nothing is served yet."""
    served = {each.space_id for line in lines for each in line.state.serving if each.index}
    for line in lines:
        for each in line.state.serving:
            if served and not each.index and each.space_id not in served:
                spaces = ", ".join(sorted(space[:8] for space in served))
                yield (
                    f"{line.service} {line.address}: no index serves its space "
                    f"{each.space_id[:8]}, but {spaces}: searches by image are refused"
                )


def _store_unread(lines: Sequence[Line]) -> Iterator[str]:
    """Replicas that see nothing new."""
    for line in lines:
        read, trouble = line.state.store_read, line.state.store_trouble
        if trouble:
            when = f"read last {_minute(read)}" if read else "never read since it started"
            said = f"cannot read its store, or a part of it: {trouble} ({when})"
            yield f"{line.service} {line.address}: {said}"
        elif read and _now() - read > UNREAD:
            said = f"has not read its store since {_minute(read)}"
            yield f"{line.service} {line.address}: {said}: it hangs, or a generation is taken in"


def _without_current(lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        for each in line.state.stored:
            if not each.has_current and each.newest:
                yield (
                    f"{each.index}: the store has no CURRENT of it; its newest generation is "
                    f"{each.newest}: `lookalike index rollback {each.index} --to {each.newest} "
                    "--store STORE` writes one"
                )


def _refused(lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        lately = [each for each in line.state.refused if _now() - each.time < LATELY]
        for each in lately[:REFUSED_SHOWN]:
            yield (
                f"{line.service} {line.address}: refused {each.index} {each.generation} "
                f"{age(each.time)} ago: {each.reason}: {each.message}"
            )


def _unserved(lines: Sequence[Line]) -> Iterator[str]:
    """A publish that did not get through leaves its generation in the store."""
    stored = [each for line in lines for each in line.state.stored]
    refused = {(each.index, each.generation) for line in lines for each in line.state.refused}
    held = {each.index for each in stored if each.held_since is not None}
    newest_served = _most(
        (each.index, each.generation) for line in lines for each in line.state.serving
    )
    for index, newest in _most((each.index, each.newest) for each in stored).items():
        served = newest_served.get(index, 0)
        if 0 < served < newest and index not in held and (index, newest) not in refused:
            yield (
                f"{index}: generation {newest} is in the store, {served} the newest that is "
                "served, and no hold says why"
            )


def _most(numbers: Iterable[tuple[str, int]]) -> dict[str, int]:
    """The highest number of each index, by name."""
    return dict(sorted(numbers))


def _split(lines: Sequence[Line]) -> Iterator[str]:
    by_index: dict[tuple[str, str], dict[int, int]] = {}
    for line in lines:
        for each in line.state.serving:
            if each.index and not each.is_pinned:
                numbers = by_index.setdefault((each.index, each.space_id), {})
                numbers[each.generation] = numbers.get(each.generation, 0) + 1
    for (index, _), numbers in sorted(by_index.items()):
        if len(numbers) > 1:
            counts = ", ".join(f"{number} on {count}" for number, count in sorted(numbers.items()))
            yield f"{index}: the replicas serve different generations: {counts}"
    serving = [each for line in lines for each in line.state.serving]
    if any(not each.is_current and not each.is_pinned for each in serving):
        yield "* CURRENT names another generation: it is being loaded, or was refused"


def _holds(lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        for each in line.state.stored:
            if each.held_since is not None:
                yield f"{each.index}: on hold since {_minute(each.held_since)}: {each.hold_reason}"


def _pins(lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        for pin in line.state.pins:
            yield (
                f"{line.service} {line.address}: {pin.index} is pinned to {pin.generation} since "
                f"{_minute(pin.since)}: {pin.reason}"
            )


def _drifted(lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        cosine = line.load.golden_cosine if line.load else None
        if cosine is not None and cosine < LEAST_GOLDEN_COSINE:
            yield (
                f"{line.service} {line.address}: its vectors differ from the model's golden ones: "
                f"cosine {cosine:.4f}"
            )


def _failed(lines: Sequence[Line]) -> Iterator[str]:
    for line in lines:
        for each in line.state.serving:
            if each.internal_errors:
                yield (
                    f"{line.service} {line.address}: {each.internal_errors:,} calls of "
                    f"{each.index} {each.generation} ended INTERNAL"
                )


def _now() -> datetime:
    return datetime.now(UTC)


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}Z"
