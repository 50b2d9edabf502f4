"""A bad network between a backend and both tiers: what it does to deadlines, retries, answers.

python -m proofs.faults [--seconds N] [--rate N] [--faults NAME,...]

Two replicas of each tier, each behind a proxy (proofs/fault_proxy.py); a fault is done to one of
each two or to all. A backend calls through the client, a second for each call.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, astuple, dataclass
from statistics import median

from lookalike_cli.processes import Running

from benchmarks.record import record, table
from proofs import tiers
from proofs.backend import Call, Options, backend
from proofs.fault_proxy import Fault, FaultProxy, proxies
from proofs.replica import workplace
from search_service.store import Store

SECONDS, RATE = 30.0, 100.0
PAUSE_SECONDS = 5.0
DEADLINE_SECONDS = 1.0
MOST_OVERRUN_MS, MOST_EXTRA = 50.0, 0.10
THREADS = 64

NONE = Fault()
_DELAYED = Fault(delay_seconds=0.1)
_LATE = Fault(delay_seconds=2 * DEADLINE_SECONDS)
_HELD = Fault(held=True)
_RESET = Fault(reset_seconds=2.0)
_FLAPPING = Fault(reset_seconds=0.05)
_REFUSED = Fault(reset_seconds=0.0)
# Of the first and of the second replica of each tier. Last what leaves no budget for retries.
FAULTS: Mapping[str, tuple[Fault, Fault]] = {
    "quiet": (NONE, NONE),
    "one delayed by 0.1 s": (_DELAYED, NONE),
    "all delayed by 0.1 s": (_DELAYED, _DELAYED),
    "one reset every 2 s": (_RESET, NONE),
    "all reset every 2 s": (_RESET, _RESET),
    "one flapping": (_FLAPPING, NONE),
    "one reset at once": (_REFUSED, NONE),
    "one a black hole": (_HELD, NONE),
    "all delayed by 2 s": (_LATE, _LATE),
    "all black holes": (_HELD, _HELD),
    "all reset at once": (_REFUSED, _REFUSED),
}


@dataclass(frozen=True)
class Window:
    """When a fault held, until when there was none after it, and what the proxies saw of it."""

    name: str
    begin: float
    end: float
    next: float
    sent: int
    retries: int


@dataclass(frozen=True)
class Told:
    """What callers had of a fault. extra: retries for each other call that was sent."""

    calls: int
    answered: float
    p50_ms: float
    overrun_ms: float
    extra: float
    failing_seconds: float
    recovery_seconds: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each fault")
    parser.add_argument("--rate", type=float, default=RATE, help="calls a second")
    parser.add_argument("--faults", default=",".join(FAULTS))
    given = parser.parse_args(arguments)
    names = given.faults.split(",")
    told, extra = measure(names, given.seconds, given.rate)
    table(
        f"{given.rate:g} calls/s, {DEADLINE_SECONDS:g} s each; {given.seconds:g} s of each fault",
        (
            "network",
            "calls",
            "answered",
            "p50, ms",
            "past deadline, ms",
            "retries",
            "failing, s",
            "back after, s",
        ),
        [(name, *astuple(each)) for name, each in told.items()],
    )
    overrun_ms = max(each.overrun_ms for each in told.values())
    figures = {
        "calls": sum(each.calls for each in told.values()),
        "most_overrun_ms": overrun_ms,
        "extra_by_retries": round(extra, 4),
        "faults": {name: asdict(each) for name, each in told.items()},
    }
    is_full_size = given == parser.parse_args([])
    record("proof_faults", figures, is_full_size=is_full_size)
    if overrun_ms > MOST_OVERRUN_MS or extra > MOST_EXTRA:
        raise SystemExit(
            f"expected calls to end within {MOST_OVERRUN_MS:g} ms of their deadlines and at most "
            f"{MOST_EXTRA:.0%} more of them by retries"
        )


def measure(
    names: Sequence[str], seconds: float, rate: float, pause_seconds: float = PAUSE_SECONDS
) -> tuple[dict[str, Told], float]:
    """By fault, what callers had of it; and the share of retries over the whole run."""
    with workplace() as folder, ExitStack() as stack:
        store = Store(folder / "store")
        tiers.write_index(store, folder / "build")
        embedders = [stack.enter_context(tiers.embedder(folder / "log")) for _ in range(2)]
        searches = [
            stack.enter_context(tiers.search(store, folder / f"cache-{n}", folder / "log"))
            for n in range(2)
        ]
        network = stack.enter_context(proxies(*_addresses(embedders), *_addresses(searches)))
        options = Options(
            embedder="ipv4:" + ",".join(_addresses(network[:2])),
            search="ipv4:" + ",".join(_addresses(network[2:])),
            rate=rate,
            threads=THREADS,
            deadline_seconds=DEADLINE_SECONDS,
        )
        with backend(options) as calling:
            windows = [_watch(network, name, seconds, pause_seconds) for name in names]
    retries = sum(proxy.seen.retries for proxy in network)
    sent = sum(proxy.seen.calls for proxy in network)
    told = {window.name: _told(window, calling.calls) for window in windows}
    return told, retries / max(1, sent - retries)


def _addresses(those: Sequence[Running] | Sequence[FaultProxy]) -> list[str]:
    return [each.address for each in those]


def _watch(
    network: Sequence[FaultProxy], name: str, seconds: float, pause_seconds: float
) -> Window:
    """Does a fault to the network, then gives it time to recover."""
    sent, retries = _seen(network)
    begin = time.monotonic()
    for proxy, fault in zip(network, 2 * FAULTS[name], strict=True):
        proxy.fault = fault
    time.sleep(seconds)
    end = time.monotonic()
    for proxy in network:
        proxy.fault = NONE
    time.sleep(pause_seconds)
    sent_after, retries_after = _seen(network)
    resumed = time.monotonic()
    return Window(name, begin, end, resumed, sent_after - sent, retries_after - retries)


def _seen(network: Sequence[FaultProxy]) -> tuple[int, int]:
    seen = [proxy.seen for proxy in network]
    return sum(each.calls for each in seen), sum(each.retries for each in seen)


def _told(window: Window, calls: Sequence[Call]) -> Told:
    """Of the calls that began while the fault held; failing: until the last of them that failed."""
    mine = [call for call in calls if window.begin <= call.begun < window.end]
    failed = [call.begun + call.seconds for call in mine if call.error]
    longest = max((call.seconds for call in mine), default=0.0)
    return Told(
        calls=len(mine),
        answered=round(1 - len(failed) / max(1, len(mine)), 4),
        p50_ms=round(1e3 * median(call.seconds for call in mine), 1),
        overrun_ms=round(1e3 * max(0.0, longest - DEADLINE_SECONDS), 1),
        extra=round(window.retries / max(1, window.sent - window.retries), 4),
        failing_seconds=round(max(failed, default=window.begin) - window.begin, 1),
        recovery_seconds=round(_recovery_seconds(window, calls), 1),
    )


def _recovery_seconds(window: Window, calls: Sequence[Call]) -> float:
    """From the fault's end until calls that begin do not fail any more."""
    begin, end = window.end, window.next - DEADLINE_SECONDS
    failed = [call.begun for call in calls if call.error and begin <= call.begun < end]
    return max(failed, default=window.end) - window.end


if __name__ == "__main__":
    main()
