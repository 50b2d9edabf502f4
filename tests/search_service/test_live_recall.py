"""Sampled answers are given again exactly, in the background, within a budget."""

import gc
import threading
import time
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from lookalike.search.v1 import search_pb2 as pb

from search_service.answer import Hit, PhotoHit
from search_service.build import Source
from search_service.ease import eased
from search_service.live_recall import LiveRecall, recall
from search_service.options import read_options
from search_service.query import ByItem, ByVector
from search_service.vitals import Vital, Vitals

SPACE = "a" * 64


class Drops(Counter):
    def sample_dropped(self, reason):
        self[reason] += 1


class Rests(threading.Event):
    """An event that remembers how long it was waited for, and ends the thread at the first."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def wait(self, timeout=None):
        self.seconds.append(timeout)
        self.set()
        return True


@pytest.fixture(scope="module")
def generation(opened, forest_build):
    return opened(forest_build)


@pytest.fixture
def vitals():
    return Vitals()


@pytest.fixture
def drops():
    return Drops()


def by_vector(generation, row=7):
    return ByVector(generation.segments.vectors[row].tobytes(), SPACE, "query")


def ask(live_recall, generation, target=None, **options):
    """A call as the servicer makes it; its options as they were asked."""
    target = target or by_vector(generation)
    read = read_options(pb.SearchOptions(**options), queries=1)
    live_recall.answered([target], read, generation.nearest([target], read))


def measure_all(live_recall, done):
    stop = threading.Event()
    thread = threading.Thread(target=live_recall.run, args=(stop,))
    thread.start()
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        time.sleep(0.002)
    stop.set()
    thread.join()


def hits(*places):
    return [Hit(item, (PhotoHit(item, distance),), {}) for item, distance in places]


def test_the_recall_of_every_answer_is_measured_if_all_are_samples(generation, vitals, drops):
    live_recall = LiveRecall(vitals, drops, every=1, cpu_share=1.0)
    for row in range(5):
        ask(live_recall, generation, by_vector(generation, row), k=20)
    measure_all(live_recall, lambda: vitals.of(generation.sha256).live_recall_samples == 5)

    exactly = read_options(pb.SearchOptions(k=20, accuracy=pb.ACCURACY_EXACT), queries=1)
    usual = read_options(pb.SearchOptions(k=20), queries=1)
    recalls = [
        recall(
            generation.nearest([target], usual).answers[0].hits,
            generation.nearest([target], exactly).answers[0].hits,
        )
        for target in (by_vector(generation, row) for row in range(5))
    ]
    assert vitals.of(generation.sha256).live_recall == pytest.approx(sum(recalls) / 5)
    assert not drops


def test_an_item_that_was_missed_costs_and_a_tie_does_not():
    exact = hits(("a", 0.1), ("b", 0.2), ("c", 0.3))

    assert recall(exact, exact) == 1.0
    assert recall(hits(("a", 0.1), ("b", 0.2), ("d", 0.31)), exact) == pytest.approx(2 / 3)
    assert recall(hits(("a", 0.1), ("b", 0.2), ("tied", 0.3)), exact) == 1.0
    # The engine may have seen another of its photos, further away.
    assert recall(hits(("a", 0.1), ("b", 0.2), ("c", 0.4)), exact) == 1.0
    assert recall([], exact) == 0.0


@pytest.mark.parametrize(
    "options",
    [
        {"accuracy": pb.ACCURACY_EXACT},
        {"accuracy": pb.ACCURACY_RECALL_95},
        {"k": 1000},  # fewer exist: every vector was compared
        {"diversity": 0.5},
        {"collapse_similarity": 1.0},
        {"max_per_value": pb.MaxPerValue(attribute="category", count=1)},
    ],
)
def test_only_what_the_engine_found_at_the_default_effort_is_a_sample(
    generation, vitals, drops, options
):
    live_recall = LiveRecall(vitals, drops, every=1, cpu_share=1.0)
    for _ in range(20):
        ask(live_recall, generation, **options)

    assert not drops  # twenty samples would not fit the queue


def test_an_eased_answer_is_no_sample(generation, vitals, drops):
    live_recall = LiveRecall(vitals, drops, every=1, cpu_share=1.0)
    lowered = eased(read_options(pb.SearchOptions(), queries=1), 1.0, ease_from=0.5)
    answers = generation.nearest([by_vector(generation)], lowered)
    assert answers.answers[0].effort_lowered

    live_recall.answered([by_vector(generation)] * 20, lowered, answers)
    assert not drops


def test_what_the_engine_left_to_a_comparison_is_no_sample(made, quick, vitals, drops):
    """500 photos of one item fill whatever list the engine is asked for."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(600, 8))
    vectors[:500] = vectors[0] + 0.01 * vectors[:500]
    items = [*["many"] * 500, *(f"item-{i}" for i in range(100))]
    photos = pa.table({"photo_id": [f"p{i}" for i in range(600)], "item_id": items})
    source = Source(vectors.astype(np.float32), photos, SPACE)
    generation = made(source, quick(widths=(0,)))
    query = ByVector(vectors[0].astype("<f4").tobytes(), SPACE, "query")
    found = generation.nearest([query], read_options(pb.SearchOptions(), queries=1))
    assert (found.engine, len(found.answers[0].hits)) == ("annoy", 10)

    live_recall = LiveRecall(vitals, drops, every=1, cpu_share=1.0)
    for _ in range(20):
        ask(live_recall, generation, query)

    assert not drops


def test_items_of_many_photos_are_no_samples(made, drawn, quick, vitals, drops):
    generation = made(drawn(60, photos=5), quick())
    live_recall = LiveRecall(vitals, drops, every=1, cpu_share=1.0)
    for _ in range(20):
        ask(live_recall, generation, ByItem("item-00007", "query"))

    assert not drops


def test_an_item_of_few_photos_is(generation, vitals, drops):
    live_recall = LiveRecall(vitals, drops, every=1, cpu_share=1.0)
    ask(live_recall, generation, ByItem("item-00007", "query"))

    measure_all(live_recall, lambda: vitals.of(generation.sha256).live_recall_samples == 1)


def test_none_is_a_sample_if_none_shall_be(generation, vitals, drops):
    live_recall = LiveRecall(vitals, drops, every=0, cpu_share=1.0)
    for _ in range(20):
        ask(live_recall, generation)

    assert not drops


def test_samples_beyond_the_budget_are_dropped_and_counted(generation, vitals, drops):
    live_recall = LiveRecall(vitals, drops, every=1, cpu_share=0.01)
    for _ in range(20):
        ask(live_recall, generation)

    assert drops == {"busy": 12}


@pytest.mark.parametrize(("cpu_share", "rests"), [(0.01, True), (1.0, False)])
def test_after_each_sample_the_thread_rests_for_its_share(
    generation, vitals, drops, cpu_share, rests
):
    live_recall, stop = LiveRecall(vitals, drops, every=1, cpu_share=cpu_share), Rests()
    ask(live_recall, generation)
    thread = threading.Thread(target=live_recall.run, args=(stop,))
    thread.start()
    thread.join()

    assert vitals.of(generation.sha256).live_recall_samples == 1
    assert [seconds > 0 for seconds in stop.seconds] == [rests]


def test_a_waiting_sample_does_not_keep_its_generation(opened, forest_build, vitals, drops):
    generation = opened(forest_build)
    sha256 = generation.sha256
    live_recall = LiveRecall(vitals, drops, every=1, cpu_share=1.0)
    ask(live_recall, generation)
    del generation
    gc.collect()

    measure_all(live_recall, lambda: drops["gone"] == 1)
    assert vitals.of(sha256) == Vital()


def test_a_sample_that_fails_is_counted_and_the_next_is_measured(generation, vitals, drops):
    live_recall = LiveRecall(vitals, drops, every=1, cpu_share=1.0)
    usual = read_options(pb.SearchOptions(), queries=1)
    answers = generation.nearest([by_vector(generation)], usual)
    live_recall.answered([ByVector(b"not a vector", SPACE, "query")], usual, answers)
    live_recall.answered([by_vector(generation)], usual, answers)

    measure_all(live_recall, lambda: vitals.of(generation.sha256).live_recall_samples == 1)
    assert drops == {"failed": 1}
