"""What serves -> batcher -> pipeline -> both faces -> server: one embedder. Needs no torch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1 import embedder_pb2_grpc as pb_grpc
from lookalike.inference import open_inference_pb2_grpc as inference_grpc
from prometheus_client import CollectorRegistry

from embedder_service import images
from embedder_service.apart import Apart
from embedder_service.batch_spans import BatchSpans
from embedder_service.batcher import Batcher
from embedder_service.budget import ByteBudget
from embedder_service.config import EmbedderConfig
from embedder_service.decoder import Decoder, DecodersLost, Here
from embedder_service.inference_servicer import InferenceServicer
from embedder_service.metrics import EmbedderMetrics
from embedder_service.nursery import Nursery
from embedder_service.pace import Pace
from embedder_service.passes import Embed, Launch
from embedder_service.pipeline import Pipeline
from embedder_service.reader import Reader
from embedder_service.servicer import EmbedderServicer
from embedder_service.spec import Preprocessing
from lookalike_kit import cpu, logs, memory
from lookalike_kit.port import Registration
from lookalike_kit.server import Server
from lookalike_kit.traces import Traces
from lookalike_kit.traces import start as start_traces

log = logs.get(__name__)

SERVICE = "lookalike.embedder.v1.EmbedderService"
INFERENCE = "inference.GRPCInferenceService"
_ON_GPU = 2  # decoders by themselves: each has a context there, and the GPU is one


@dataclass(frozen=True)
class Loaded:
    """A model on its device, warmed up and compared with its golden photos."""

    embed: Embed
    pace: Pace
    preprocessing: Preprocessing
    info: pb.GetInfoResponse
    golden_cosine: float = 1.0
    golden_error: float = 0.0
    launch: Launch | None = None
    jpegs: str = "cpu"  # as the setting JPEG_DECODER


class Embedder:
    """One embedder, wired but not serving. traces: None: as the configuration says.

    nursery: where its decoders come from; None: it decodes on threads of its own.
    """

    def __init__(
        self,
        config: EmbedderConfig,
        model: Loaded,
        nursery: Nursery | None = None,
        traces: Traces | None = None,
    ) -> None:
        # A model on a CPU uses all cores itself, and so does decoding on threads.
        is_apart = nursery is not None and model.info.device != "cpu"
        self._on_one_core = config.calls_on_one_core and is_apart and cpu.cores() > 1
        self._device_threads = cpu.threads() - {threading.get_native_id()}
        self.registry = CollectorRegistry()
        metrics = EmbedderMetrics(self.registry)
        metrics.describe(labels(model.info), model.golden_cosine, model.golden_error)
        traces = traces or start_traces(config, "embedder")

        self.batcher = Batcher(
            model.embed,
            model.pace,
            config.max_queue_images,
            BatchSpans(metrics, traces) if traces else metrics,
            stuck_seconds=config.stuck_seconds,
            on_lost=lambda: self.server.abandon(),
            launch=model.launch,
        )
        metrics.follow_queue(self.batcher.waiting)
        limits = images.Limits(max_bytes=config.max_image_bytes, max_pixels=config.max_image_pixels)
        decoder = self._decoder(model.preprocessing, nursery, metrics)
        several = _ON_GPU if model.jpegs == "nvjpeg" else cpu.cores()
        decoders = [decoder(model.jpegs) for _ in range(config.decoders or several)]
        decoders.append(decoder("cpu"))  # for the large ones, which no GPU decodes small
        self.reader = Reader(limits, decoders, metrics)
        budget = ByteBudget(config.max_held_bytes)
        pipeline = Pipeline(self.reader, self.batcher, budget, metrics)
        faces = [
            _own_face(EmbedderServicer(pipeline, model.info)),
            _inference(InferenceServicer(pipeline, model.info, lambda: self.server.is_ready)),
        ]
        self.server = Server(config, "embedder", self.registry, faces, traces=traces)

    def run(self) -> None:
        """Serves until SIGTERM or SIGINT."""
        self.batcher.start()
        self.server.catch_signals()
        with memory.kept():
            self.server.start()
            core = cpu.keep_together(but=self._device_threads) if self._on_one_core else None
            self.server.set_ready(True)
            if core is not None:
                log.info("calls_on_one_core", core=core)
            self.server.run_until_signal()
        self.reader.stop()
        self.batcher.stop()

    def _decoder(
        self, preprocessing: Preprocessing, nursery: Nursery | None, metrics: EmbedderMetrics
    ) -> Callable[[str], Decoder]:
        """What makes one, by what decodes everyday JPEGs there."""
        if nursery is None:
            return lambda _: Here(preprocessing)
        # Threads may be what has run out by then; meanwhile calls are told why.
        lost = threading.Event()

        def abandon_without_decoders() -> None:
            lost.wait()
            self.server.abandon()

        threading.Thread(target=abandon_without_decoders, name="abandon", daemon=True).start()

        def decoder(jpegs: str) -> Decoder:
            try:
                return Apart(nursery, preprocessing, metrics, lost.set, jpegs)
            except DecodersLost:
                if jpegs == "cpu":
                    raise
                log.warning("nvjpeg_passed_over", why="the GPU has no room for another decoder")
                return decoder("cpu")

        return decoder


def _own_face(embedder: EmbedderServicer) -> Registration:
    return Registration(
        SERVICE, lambda to: pb_grpc.add_EmbedderServiceServicer_to_server(embedder, to)
    )


def _inference(inference: InferenceServicer) -> Registration:
    return Registration(
        INFERENCE,
        lambda to: inference_grpc.add_GRPCInferenceServiceServicer_to_server(inference, to),
        ready_made=("ServerLive", "ServerReady", "ModelReady"),
    )


def labels(info: pb.GetInfoResponse) -> dict[str, str]:
    """What runs, in the words of metrics and logs."""
    names = (
        "space_id",
        "architecture",
        "device",
        "engine",
        "precision",
        "artefact",
        "decoder",
        "version",
    )
    return {name: getattr(info, name) for name in names}
