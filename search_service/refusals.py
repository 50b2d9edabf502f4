"""What a replica refused: named, counted, and by its hash not tried again."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from lookalike_kit import logs
from search_service.apart import RefusedError
from search_service.metrics import SearchMetrics

_log = logs.get(__name__)
_KEPT = 100


@dataclass(frozen=True)
class Refusal:
    """What was refused here, when and why; `passing` if the reason may go away."""

    index: str
    generation: int
    manifest_sha256: str
    reason: str
    message: str
    passing: bool
    time: datetime

    def repeats(self, other: "Refusal") -> bool:
        return replace(self, time=other.time) == other


class Refusals:
    """The last hundred, and the hashes in quarantine."""

    def __init__(self, metrics: SearchMetrics) -> None:
        self._metrics = metrics
        self.latest: tuple[Refusal, ...] = ()  # the latest first
        self.quarantine: set[str] = set()  # by manifest_sha256

    def add(self, index: str, number: int, sha256: str, refused: RefusedError) -> Refusal:
        """Writes a refusal down; what is wrong for good goes into quarantine."""
        now = datetime.now(UTC)
        refusal = Refusal(
            index, number, sha256, refused.reason, refused.message, refused.passing, now
        )
        if not refusal.passing:
            self.quarantine.add(sha256)
        others = [each for each in self.latest if not refusal.repeats(each)]
        self.latest = (refusal, *others[: _KEPT - 1])
        self._metrics.refusals.labels(index, refusal.reason).inc()
        _log.error(
            "refused",
            index=index,
            generation=number,
            reason=refusal.reason,
            message=refusal.message,
        )
        return refusal
