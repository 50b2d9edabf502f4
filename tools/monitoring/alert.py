"""What an alert is: when it fires, how bad that is, and the page to open."""

import re
from dataclasses import dataclass, field

RUNBOOKS = "docs/runbooks"
FAST, SLOW = "page", "ticket"  # wakes somebody; waits for the working day


@dataclass(frozen=True)
class Alert:
    """One rule; an alert may have several, of other severities or for other tiers.

    means: one line for the table and whoever is paged. says: more, with the labels' values.
    """

    name: str
    severity: str
    means: str
    says: str
    expr: str
    for_seconds: float = 0.0
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def runbook(self) -> str:
        return f"{RUNBOOKS}/{kebab(self.name)}.md"


def kebab(name: str) -> str:
    """index-stale of IndexStale."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
