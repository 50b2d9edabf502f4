"""A replica's line on the screen: what it says of itself, and what its /metrics say."""

from collections.abc import Iterator
from dataclasses import dataclass

from lookalike_cli.printing import age
from lookalike_cli.replicas import Serving, State
from lookalike_cli.scrape import Pace, Samples, total

COLUMNS = (
    "",
    "address",
    "state",
    "index",
    "gen ",
    "age ",
    "space",
    "live recall ",
    "waiting ",
    "calls/s ",
    "p99 ms ",
    "runs",
)


@dataclass(frozen=True)
class Load:
    """in_flight: calls that run or wait. queue_images: images that wait for an embedder's device.

    golden_cosine: an embedder's agreement with the model's golden photos. None: it has none.
    """

    in_flight: int
    queue_images: int | None = None
    golden_cosine: float | None = None


@dataclass(frozen=True)
class Line:
    """One replica. pace, load: None where /metrics does not answer."""

    service: str
    address: str
    state: State
    pace: Pace | None
    load: Load | None


def read_load(samples: Samples | None) -> Load | None:
    if samples is None:
        return None
    queue = total(samples, "lookalike_embedder_queue_images")
    return Load(
        in_flight=round(total(samples, "lookalike_in_flight_calls") or 0),
        queue_images=None if queue is None else round(queue),
        golden_cosine=total(samples, "lookalike_embedder_golden_cosine"),
    )


def rows(line: Line) -> Iterator[tuple[str, ...]]:
    """One a generation; the replica itself is named on the first."""
    first, *rest = map(_generation, line.state.serving or [Serving("")])
    yield (line.service, line.address, _state(line.state), *first, *_speed(line), line.state.runs)
    for each in rest:
        yield ("", "", "", *each, "", "", "", "")


def _state(state: State) -> str:
    if not state.reachable:
        return "no answer"
    return "ready" if state.ready else "not ready"


def _generation(one: Serving) -> tuple[str, str, str, str, str]:
    mark = "" if one.is_current else "*"
    recall = ""
    if one.live_recall is not None:
        recall = f"{one.live_recall:.3f} of {one.live_recall_samples:,}"
    return (
        one.index,
        f"{one.generation}{mark}" if one.index else "",
        age(one.created) if one.created else "",
        one.space_id[:8],
        recall,
    )


def _speed(line: Line) -> tuple[str, str, str]:
    waiting, calls, slow = "", "", ""
    if line.load is not None:
        images = line.load.queue_images
        waiting = f"{line.load.in_flight} calls" if images is None else f"{images} images"
    if line.pace is not None:
        calls = f"{line.pace.calls_per_second:.1f}"
        if line.pace.p99_seconds is not None:
            slow = f"{line.pace.p99_seconds * 1000:.1f}"
    return waiting, calls, slow
