"""What an SRE asks of the embedder: where the time goes, how full it is, what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from embedder_service.pending import Wait
from lookalike_kit import calls

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

TROUBLES = ("out_of_memory", "error", "lost", "stuck")


class EmbedderMetrics:
    """lookalike_embedder_*."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._images = Counter(
            "lookalike_embedder_images",
            "Images by what became of them: ok, or the reason of the refusal.",
            ["result"],
            registry=registry,
        )
        call = self._histogram(
            "call_seconds",
            "From a call's arrival to its vectors; calls that fail are not among them.",
            _SECONDS,
            ["priority"],
        )
        self._decode = self._histogram("decode_seconds", "Decoding one image.", _SECONDS)
        queue = self._histogram(
            "queue_seconds",
            "From a call's submission to the device, by batch it is in.",
            _SECONDS,
            ["priority"],
        )
        turn = self._histogram(
            "decode_wait_seconds",
            "Wait for a turn to be decoded, from when an image is the next of its call.",
            _SECONDS,
            ["priority"],
        )
        self._forward = self._histogram("forward_seconds", "One forward pass.", _SECONDS)
        self._batch = self._histogram("batch_images", "Images that shared a pass.", _IMAGES)
        self._trouble = Counter(
            "lookalike_embedder_device_trouble",
            "Passes without vectors: out_of_memory (the batch went on in halves), error; and the "
            "end of the process: lost, stuck.",
            ["kind"],
            registry=registry,
        )
        self._deaths = Counter(
            "lookalike_embedder_decoder_deaths",
            "Decoders that a file has ended, or that were killed; each was replaced.",
            registry=registry,
        )
        self._decoder_cpu = Counter(
            "lookalike_embedder_decoder_cpu_seconds",
            "CPU of decoding in processes of its own, which process_cpu_seconds has not.",
            registry=registry,
        )
        # From 0 on: a counter that appears as it is counted up shows no increase.
        for kind in TROUBLES:
            self._trouble.labels(kind)
        # Finding a metric by its labels takes 2 us: these are asked for with every image.
        self._ok = self._images.labels("ok")
        self._call = [call.labels(_priority(bulk)) for bulk in (False, True)]
        self._queue = [queue.labels(_priority(bulk)) for bulk in (False, True)]
        self._turn = [turn.labels(_priority(bulk)) for bulk in (False, True)]

    def waited_to_decode(self, bulk: bool, seconds: float) -> None:
        """One image has its turn."""
        self._turn[bulk].observe(seconds)

    def decoded(self, seconds: float) -> None:
        """One image was decoded."""
        self._decode.observe(seconds, calls.exemplar())

    def decoded_apart(self, cpu_seconds: float) -> None:
        """A decoder's process has taken so much CPU."""
        self._decoder_cpu.inc(cpu_seconds)

    def decoder_died(self) -> None:
        """A decoder has ended in the middle of a file."""
        self._deaths.inc()

    def batch(self, images: int, waits: Sequence[Wait], forward_seconds: float) -> None:
        """One batch came off the device."""
        self._batch.observe(images)
        self._forward.observe(forward_seconds)
        for wait in waits:
            self._queue[wait.bulk].observe(wait.seconds, calls.exemplar_of(wait.trace))

    def trouble(self, kind: str) -> None:
        """A pass brought no vectors, or the device is given up."""
        self._trouble.labels(kind).inc()

    def image(self, result: str) -> None:
        """One image was answered: "ok", or a reason in lower case."""
        (self._ok if result == "ok" else self._images.labels(result)).inc()

    def answered(self, bulk: bool, seconds: float) -> None:
        """A call's vectors are there, so many seconds after it came."""
        self._call[bulk].observe(seconds, calls.exemplar())

    def follow_queue(self, waiting: Callable[[bool], int]) -> None:
        """Where to read from how many images wait, by whether they are bulk."""
        gauge = Gauge(
            "lookalike_embedder_queue_images",
            "Images that wait for the device.",
            ["priority"],
            registry=self._registry,
        )
        gauge.labels(_priority(False)).set_function(lambda: waiting(False))
        gauge.labels(_priority(True)).set_function(lambda: waiting(True))

    def describe(self, info: Mapping[str, str], golden_cosine: float, golden_error: float) -> None:
        """What this process runs, and how well it agrees with the model's golden photos."""
        self._gauge("info", "What this process runs.", list(info)).labels(**info).set(1)
        self._gauge("golden_cosine", "The least cosine to a golden vector.").set(golden_cosine)
        self._gauge(
            "golden_error",
            "The largest error as a fraction of the distance to the nearest other golden photo.",
        ).set(golden_error)

    def _histogram(
        self, name: str, words: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        return Histogram(
            f"lookalike_embedder_{name}", words, labels, buckets=buckets, registry=self._registry
        )

    def _gauge(self, name: str, words: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"lookalike_embedder_{name}", words, labels, registry=self._registry)


def _priority(bulk: bool) -> str:
    return "bulk" if bulk else "online"
