"""The whole embedder in this process, with a real model, over real ports."""

import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
import numpy as np
import pytest
from lookalike.embedder.v1 import embedder_pb2 as pb
from lookalike.embedder.v1 import embedder_pb2_grpc as pb_grpc
from prometheus_client.parser import text_string_to_metric_families

from embedder_service import images
from embedder_service.config import EmbedderConfig

pytestmark = pytest.mark.torch


@dataclass
class Served:
    stub: pb_grpc.EmbedderServiceStub
    metrics_address: str

    def metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(f"http://{self.metrics_address}/metrics") as page:
            text = page.read().decode()
        families = text_string_to_metric_families(text)
        return {sample.name: sample.value for family in families for sample in family.samples}


@pytest.fixture(scope="module")
def served(model_folder) -> Iterator[Served]:
    from embedder_service.loading import load
    from embedder_service.wiring import Embedder

    config = EmbedderConfig(
        model=model_folder,
        device="cpu",
        engine="eager",
        precision="float32",
        max_batch=16,
        address="127.0.0.1:0",
        admin_address="127.0.0.1:0",
        metrics_address="127.0.0.1:0",
    )
    embedder = Embedder(config, load(config))
    embedder.batcher.start()
    addresses = embedder.server.start()
    embedder.server.set_ready(True)
    with grpc.insecure_channel(addresses.address) as channel:
        yield Served(pb_grpc.EmbedderServiceStub(channel), addresses.metrics_address)
    embedder.server.stop(drain_seconds=0)
    embedder.reader.stop()
    embedder.batcher.stop()


def embed(served: Served, *contents: bytes) -> list[np.ndarray | None]:
    request = pb.EmbedRequest(images=[pb.Image(content=content) for content in contents])
    return [
        np.frombuffer(result.embeddings[0].values, "<f4") if result.embeddings else None
        for result in served.stub.Embed(request).results
    ]


def test_neighbours_in_a_call_do_not_change_a_vector(served, draw, encode, scan_bomb):
    good = [
        encode(draw(1), "JPEG"),
        encode(draw(2).convert("CMYK"), "JPEG"),
        encode(draw(3).convert("L"), "PNG"),
        encode(draw(4), "WEBP"),
    ]
    mixed = [good[0], b"text", good[1], scan_bomb, good[2], good[3], good[3][:500]]

    alone = [embed(served, content)[0] for content in good]
    together = [vector for vector in embed(served, *mixed) if vector is not None]

    assert len(together) == len(good)
    assert np.abs(np.array(alone) - np.array(together)).max() < 1e-5


def test_callers_at_the_same_time_share_batches_and_get_their_own_vectors(served, draw, encode):
    contents = [encode(draw(number), "JPEG") for number in range(12)]
    alone = [embed(served, content)[0] for content in contents]
    before = served.metrics()
    with ThreadPoolExecutor(12) as callers:
        together = list(callers.map(lambda n: embed(served, contents[n % 12])[0], range(96)))
    after = served.metrics()

    assert all(np.abs(v - alone[n % 12]).max() < 1e-5 for n, v in enumerate(together))
    images_seen, batches = (
        after[f"lookalike_embedder_batch_images_{what}"]
        - before[f"lookalike_embedder_batch_images_{what}"]
        for what in ("sum", "count")
    )
    assert images_seen == 96
    assert batches < 96


def test_the_info_says_what_runs(served, model_folder):
    info = served.stub.GetInfo(pb.GetInfoRequest())

    assert info.space_id == model_folder.name
    assert (info.dimension, info.architecture, info.layer) == (512, "resnet18", "embedding")
    assert (info.image_side, info.device) == (64, "cpu")
    assert (info.engine, info.precision, info.artefact) == ("eager", "float32", "")
    assert info.decoder == images.DECODER
    assert (info.max_images_per_call, info.max_batch) == (64, 16)
    assert info.version


def test_the_metrics_say_what_runs_and_how_well_it_agrees(served):
    metrics = served.metrics()

    assert metrics["lookalike_embedder_info"] == 1
    assert metrics["lookalike_embedder_golden_cosine"] == pytest.approx(1)
    assert metrics["lookalike_embedder_golden_error"] < 1e-3
