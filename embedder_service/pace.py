"""How long a forward pass of so many images takes: what admission predicts with."""

from __future__ import annotations

# One batch moves the estimate by a fifth: a slower neighbour on the machine shows in a few batches,
# a single hiccup (counted as twice the expected time at most) does not close the door.
_WEIGHT = 0.2
_MOST_DRIFT_A_BATCH = 2.0


class Pace:
    """A line through the times of one image and of a full batch, and how far reality has drifted.

    The two times are measured in the warm-up, before the first call. One thread observes; any
    thread may predict.
    """

    def __init__(self, one_seconds: float, full_seconds: float, max_batch: int) -> None:
        self.max_batch = max_batch
        self._one = one_seconds
        self._more = max(0.0, full_seconds - one_seconds) / max(1, max_batch - 1)
        self._drift = 1.0

    def observe(self, images: int, seconds: float) -> None:
        """A batch of so many images took so long."""
        ratio = seconds / max(self._undrifted(images), 1e-6)
        ratio = min(
            max(ratio, self._drift / _MOST_DRIFT_A_BATCH), self._drift * _MOST_DRIFT_A_BATCH
        )
        self._drift += _WEIGHT * (ratio - self._drift)

    def predict(self, images: int) -> float:
        """Seconds for so many images, in as many full batches as they need, at today's pace."""
        return self._drift * self._undrifted(images)

    def predict_idle(self, images: int) -> float:
        """As predict, but never more than the warm-up promised.

        An idle device tries: an estimate that went wrong is put right by the next batch only.
        """
        return min(1.0, self._drift) * self._undrifted(images)

    def _undrifted(self, images: int) -> float:
        full, rest = divmod(images, self.max_batch)
        return full * self._batch(self.max_batch) + (self._batch(rest) if rest else 0.0)

    def _batch(self, images: int) -> float:
        return self._one + (images - 1) * self._more
