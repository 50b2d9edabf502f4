"""What a dashboard shows, apart from who draws it: Grafana, or our own script of pictures."""

from dataclasses import dataclass
from enum import Enum

from tools.monitoring.slo import ALL

# Filled in by Grafana: the variable at the top, and four scrapes at least.
HERE = 'namespace=~"$namespace"'
RATE = "$__rate_interval"


class Unit(Enum):
    """By Grafana's names."""

    NONE = "short"
    SECONDS = "s"
    BYTES = "bytes"
    SHARE = "percentunit"
    CALLS = "reqps"
    PER_SECOND = "ops"


@dataclass(frozen=True)
class Query:
    """expr: PromQL. legend: what a line is called, {{label}} for a label's value."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """says: what to read from it. is_number: the last value of each line, large.

    is_rare: there is something to see only when something is wrong, or set up so.
    """

    title: str
    says: str
    unit: Unit
    queries: tuple[Query, ...]
    is_number: bool = False
    is_rare: bool = False
    least: float | None = 0.0
    most: float | None = None
    width: int = 8


@dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    """uid: what other pages link to; [a-z-]."""

    uid: str
    title: str
    says: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> list[Panel]:
        return [panel for row in self.rows for panel in row.panels]


def where(metric: str, matchers: str = "") -> str:
    """A selector of what the reader chose to see."""
    return f"{metric}{{{', '.join(filter(None, (HERE, matchers)))}}}"


def rate(metric: str, by: str, matchers: str = "") -> str:
    """A second's, summed over the rest of the labels."""
    return f"sum by ({by}) (rate({where(metric, matchers)}[{RATE}]))"


def quantile(share: float, histogram: str, by: str = "", matchers: str = "") -> str:
    """Of a histogram's observations."""
    labels = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', labels, matchers)})"


def mean(histogram: str, by: str = "", matchers: str = "") -> str:
    """Of a histogram's observations."""
    return f"{rate(f'{histogram}_sum', by, matchers)} / {rate(f'{histogram}_count', by, matchers)}"


def replicas(metric: str, matchers: str = ALL) -> str:
    """One of each replica."""
    return where(metric, matchers)
