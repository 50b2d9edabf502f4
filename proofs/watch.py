"""What goes wrong with a fleet under load is seen: the right alert fires, and no other.

python -m proofs.watch [--quick] [--pictures FOLDER]

Two embedders and two search replicas are asked all the time; a real Prometheus scrapes them and
judges the rules that are committed, on a clock sixty times as fast: five minutes are five seconds.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.record import record, table
from proofs.asked import without_data
from proofs.prometheus import Prometheus, prometheus
from proofs.replica import workplace
from proofs.watch_callers import callers
from proofs.watch_faults import ALL_FAULTS, FIRST_MEMBERS, QUICK_FAULTS, Fault, begin
from proofs.watched_fleet import Fleet
from tools.monitoring.clock import Clock

CLOCK = Clock(pace=60, patience=25)
WAIT_SECONDS = 180.0  # for an alert to fire or to end

Alerts = set[tuple[str, str]]


class NotSeen(Exception):
    """An alert that should have fired did not, or one that should end did not."""


@dataclass
class Watched:
    """What was done, and what was seen of it."""

    rows: list[tuple[str, str, float]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    moments: list[tuple[float, float, str]] = field(default_factory=list)  # from, to, what


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few faults instead of all")
    parser.add_argument("--pictures", type=Path, help="where to draw the dashboards' panels")
    options = parser.parse_args()
    begun = time.time()
    with watching(QUICK_FAULTS if options.quick else ALL_FAULTS) as (seen, fleet):
        empty = without_data(fleet.prometheus, CLOCK, begun, time.time())
        troubles = fleet.prometheus.troubles()
        if options.pictures:
            from proofs.watch_pictures import draw

            draw(fleet.prometheus, CLOCK, seen.moments, options.pictures)
    table("watch", ("what was done", "alerts", "seconds until they fired"), seen.rows)
    if empty:
        print("without data:", *(f"  {each}" for each in empty), sep="\n")
    figures = {
        "faults": len(seen.rows),
        "wrong": len(seen.wrong),
        "rules_with_trouble": len(troubles),
        "queries_without_data": len(empty),
        "calls_answered": fleet.answered,
        "seconds": round(time.time() - begun),
    }
    record("proof_watch", figures, is_full_size=not options.quick)
    if seen.wrong or troubles:
        raise SystemExit("\n".join([*seen.wrong, *troubles]))


@contextmanager
def watching(faults: tuple[Fault, ...]) -> Iterator[tuple[Watched, Fleet]]:
    """A fleet under load with its Prometheus, after each of the faults was done and undone."""
    with workplace() as folder, ExitStack() as stack:
        watcher = stack.enter_context(prometheus(folder / "prometheus", CLOCK))
        fleet = Fleet(folder, watcher)
        stack.callback(fleet.close)
        begin(fleet)
        stack.enter_context(callers(fleet))
        # Prometheus was there before anybody whom it could scrape.
        _until(lambda: _is_well(watcher), "a fleet that is well", watcher)
        seen = Watched()
        for fault in faults:
            _watch(fault, fleet, seen, is_last=fault is faults[-1])
        yield seen, fleet


def _watch(fault: Fault, fleet: Fleet, seen: Watched, *, is_last: bool) -> None:
    """Nobody waits for the end of the last one's alerts."""
    watcher = fleet.prometheus
    lingering = watcher.firing()
    began = time.time()
    with fault.done(fleet):
        _until(lambda: fault.fires <= watcher.firing(), f"{fault.name}: {fault.fires}", watcher)
        fired_after = time.time() - began
        time.sleep(fault.look_seconds)
    if not is_last:
        _until(lambda: _ended(watcher.firing()), f"{fault.name}: an end", watcher)
    fired = _fired(watcher, began, time.time())
    if unexpected := fired - fault.fires - fault.may - lingering:
        seen.wrong.append(f"{fault.name}: expected {_said(fault.fires)}, got {_said(unexpected)}")
    seen.rows.append((fault.name, _said(fired - lingering), round(fired_after, 1)))
    seen.moments.append((began, time.time(), fault.name))


def _is_well(watcher: Prometheus) -> bool:
    return len(watcher.query("up == 1")) == FIRST_MEMBERS and not watcher.firing()


def _ended(firing: Alerts) -> bool:
    """A ticket for a budget goes on for as long as its long window."""
    return all(name.endswith("BudgetBurn") and severity == "ticket" for name, severity in firing)


def _fired(watcher: Prometheus, start: float, end: float) -> Alerts:
    found = watcher.between('ALERTS{alertstate="firing"}', start, end, 0.5)
    return {(labels["alertname"], labels["severity"]) for labels, _ in found}


def _until(condition: Callable[[], bool], what: str, watcher: Prometheus) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise NotSeen(f"expected {what}, got {json.dumps(sorted(watcher.firing()))}")
        time.sleep(0.25)


def _said(alerts: Alerts) -> str:
    return ", ".join(f"{name} ({severity})" for name, severity in sorted(alerts)) or "none"


if __name__ == "__main__":
    main()
