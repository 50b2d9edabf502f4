"""What a service did between two looks at its /metrics: calls a second, and how long they took."""

import math
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

TIMEOUT_SECONDS = 2.0
_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Labels = tuple[tuple[str, str], ...]
Samples = Mapping[tuple[str, Labels], float]


@dataclass(frozen=True)
class Pace:
    """calls_per_second: finished calls of the service itself. p99_seconds: None without any."""

    calls_per_second: float
    p99_seconds: float | None


def scrape(metrics_address: str) -> Samples:
    """Raises OSError where nobody answers."""
    url = f"http://{metrics_address}/metrics"
    # Loopback and cluster addresses: a proxy for the web would answer in their place.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, timeout=TIMEOUT_SECONDS) as reply:
        return parse(reply.read().decode())


def parse(text: str) -> Samples:
    """The samples of Prometheus' text format, by name and labels."""
    matches = (_SAMPLE.match(line) for line in text.splitlines() if not line.startswith("#"))
    return {
        (found["name"], tuple(sorted(_LABEL.findall(found["labels"] or "")))): float(found["value"])
        for found in matches
        if found
    }


def total(samples: Samples, name: str) -> float | None:
    """The sum over all labels; None where there is no such metric."""
    found = [value for (each, _), value in samples.items() if each == name]
    return sum(found) if found else None


def pace(before: Samples, after: Samples, seconds: float, service: str) -> Pace:
    """service: the full name, as "lookalike.search.v1.SearchService"."""
    grown = {key: value - before.get(key, 0.0) for key, value in after.items()}
    ours = {
        (name, dict(labels).get("le", "")): 0.0
        for name, labels in grown
        if ("grpc_service", service) in labels
    }
    for (name, labels), value in grown.items():
        if ("grpc_service", service) in labels:
            ours[name, dict(labels).get("le", "")] += value
    calls = ours.get(("grpc_server_handled_total", ""), 0.0)
    buckets = {
        float(bound): count
        for (name, bound), count in ours.items()
        if name == "grpc_server_handling_seconds_bucket"
    }
    return Pace(calls / seconds, quantile(0.99, buckets))


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """From cumulative counts by upper bound, straight within a bucket, as Prometheus does it."""
    total = buckets.get(math.inf, 0.0)
    if not total:
        return None
    wanted = share * total
    lower, below = 0.0, 0.0
    for bound, count in sorted(buckets.items()):
        if count >= wanted:
            if math.isinf(bound):
                return lower
            return lower + (bound - lower) * (wanted - below) / (count - below)
        lower, below = bound, count
    return lower
