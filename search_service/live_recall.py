"""Live recall: some answers are given again by comparing every vector, and the two compared.

A sample counts what callers get from the engine at the default effort. So it is an answer to a
query of the default accuracy that was not eased and for which not every vector was compared anyway;
filters, exclusions and thresholds are as callers use them. With a cap, copies or diversity the hits
are not simply the nearest: such queries are no samples.
"""

import queue
import random
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from lookalike_kit import logs
from search_service.answer import Answer, Hit
from search_service.engines.exact import FEW
from search_service.generation import Answers, Generation
from search_service.options import DEFAULT_RECALL
from search_service.query import ByItem, Options, Target
from search_service.vitals import Vitals

_log = logs.get(__name__)
# Samples that wait: few, so that what is measured is what is served.
_WAITING = 8
_WAKE_SECONDS = 0.2


class DropObserver(Protocol):
    """Who is told of samples that were chosen and not taken."""

    def sample_dropped(self, reason: str) -> None:
        """reason: "busy", "gone" (the generation is served no more) or "failed"."""


@dataclass(frozen=True)
class _Sample:
    """An answer to give again. Waiting, it does not keep its generation mapped."""

    generation: weakref.ref[Generation]
    target: Target
    options: Options
    hits: tuple[Hit, ...]


class LiveRecall:
    """One of `every` queries, 0: none; on a thread that takes `cpu_share` of one core at most.

    It is not niced: where it then had the interpreter and no core, all calls would wait for it.
    """

    def __init__(
        self, vitals: Vitals, observer: DropObserver, *, every: int, cpu_share: float
    ) -> None:
        self._vitals = vitals
        self._observer = observer
        self._every = every
        self._cpu_share = cpu_share
        self._waiting: queue.Queue[_Sample] = queue.Queue(_WAITING)

    def answered(self, targets: Sequence[Target], options: Options, answers: Answers) -> None:
        """Chooses among a call's queries; never waits."""
        if not self._every or not _are_nearest(options):
            return
        for target, answer in zip(targets, answers.answers, strict=True):
            if random.random() * self._every < 1 and _counts(target, answer, answers.generation):
                self._keep(_Sample(weakref.ref(answers.generation), target, options, answer.hits))

    def run(self, stop: threading.Event) -> None:
        """Measures samples until stopped, and rests in proportion after each."""
        while not stop.is_set():
            try:
                sample = self._waiting.get(timeout=_WAKE_SECONDS)
            except queue.Empty:
                continue
            begun = time.thread_time()
            self._measure(sample)
            spent = time.thread_time() - begun
            stop.wait(spent / self._cpu_share - spent)

    def _keep(self, sample: _Sample) -> None:
        try:
            self._waiting.put_nowait(sample)
        except queue.Full:
            self._observer.sample_dropped("busy")

    def _measure(self, sample: _Sample) -> None:
        generation = sample.generation()
        if generation is None:
            self._observer.sample_dropped("gone")
            return
        try:
            exact = generation.nearest([sample.target], _exactly(sample.options)).answers[0]
        except Exception:  # noqa: BLE001
            # The thread has to live on; the call itself was answered.
            _log.exception("sample failed", index=generation.manifest.index)
            self._observer.sample_dropped("failed")
        else:
            self._vitals.sampled(generation.sha256, recall(sample.hits, exact.hits))


def recall(hits: Sequence[Hit], exact: Sequence[Hit]) -> float:
    """The share of the exact hits that were found. Of items equally far, any will do."""
    items = {hit.item_id for hit in exact}
    reach = np.float32(exact[-1].photos[0].distance) + 1e-6
    found = sum(hit.item_id in items or hit.photos[0].distance <= reach for hit in hits)
    return min(found, len(exact)) / len(exact)


def _are_nearest(options: Options) -> bool:
    """Whether the options are the default effort's, and its hits simply the nearest."""
    chosen = options.max_per_value or options.collapse_similarity or options.diversity
    return options.recall == DEFAULT_RECALL and not options.eased and not chosen


def _counts(target: Target, answer: Answer, generation: Generation) -> bool:
    if answer.compared_all:  # it says nothing of the engine
        return False
    if not isinstance(target, ByItem):
        return True
    # Many photos are compared by BLAS, on every core.
    item = generation.segments.find_item(target.item_id)
    return item is not None and len(generation.segments.rows_of(item)) <= FEW


def _exactly(options: Options) -> Options:
    return replace(options, recall=1.0, photos_per_item=1, include_attributes=False)
