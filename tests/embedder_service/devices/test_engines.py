"""Every engine against the model as it is written. CUDA's own streams are not run here."""

import importlib
from collections.abc import Callable

import numpy as np
import pytest
import torch

from embedder_service import acceptance
from embedder_service.devices import openvino
from embedder_service.devices.device import Device
from embedder_service.devices.eager import EagerDevice
from embedder_service.devices.graphs import GraphsDevice, compiled
from embedder_service.devices.openvino import OpenvinoDevice
from embedder_service.model import EmbeddingModel
from embedder_service.spec import ModelError

pytestmark = pytest.mark.torch

MAX_BATCH = 8
# A vector's length is 1; these are several times what was measured.
COMPOSITION = {"float32": 1e-5, "bfloat16": 0.02, "float16": 0.005}


class InOrder:
    """In place of a CUDA stream: what is started is done at once."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.started = 0
        self.flying = 0
        self.most_flying = 0

    def captured(self, work: Callable[[], object]) -> Callable[[], object]:
        work()
        return work

    def pinned(self, *shape: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.zeros(shape, dtype=dtype)

    def start(self, work: Callable[[], object]) -> Callable[[], object]:
        work()
        self.started += 1
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        return self.land

    def land(self) -> None:
        self.flying -= 1


class Late(InOrder):
    """What is started is done when it is waited for, after all before it: as late as may be."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Callable[[], object]] = []

    def start(self, work: Callable[[], object]) -> Callable[[], object]:
        self.waiting.append(work)
        return lambda: self.do_until(work)

    def do_until(self, work: Callable[[], object]) -> None:
        while work in self.waiting:
            self.waiting.pop(0)()


def engine_of(model: EmbeddingModel, engine: str, precision: str) -> Device:
    if engine == "openvino":
        side = model.spec.preprocessing.crop
        return OpenvinoDevice(openvino.converted(model), side, precision)
    if engine == "graphs":
        return GraphsDevice(model, "graphs", precision, InOrder())
    return EagerDevice(model, "cpu", precision)


@pytest.fixture(
    scope="module",
    params=[
        ("eager", "float32"),
        ("eager", "bfloat16"),
        ("openvino", "float32"),
        ("openvino", "bfloat16"),
        ("graphs", "float16"),
    ],
    ids=" ".join,
)
def device(request, small_model) -> Device:
    device = engine_of(small_model, *request.param)
    device.warm_up(MAX_BATCH)
    return device


def test_a_batch_of_any_size_becomes_the_models_vectors(device, photos, reference):
    least = 0.99999 if device.precision == "float32" else 0.999
    for count in range(1, MAX_BATCH + 1):
        vectors = device.embed(photos[:count])

        assert (vectors.shape, vectors.dtype) == ((count, 512), np.float32)
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        assert np.einsum("nd,nd->n", vectors, reference[:count]).min() > least


def test_a_vector_hardly_depends_on_its_batch(device, photos):
    bound = COMPOSITION[device.precision]

    assert acceptance.composition(device.embed, photos, MAX_BATCH) <= bound


def test_a_place_that_is_filled_up_changes_no_vector(small_model, photos, reference):
    device = engine_of(small_model, "openvino", "float32")
    device.warm_up(max_batch=20)

    for count in (17, 19):  # in buckets of 18 and 20
        vectors = device.embed(photos[:count])
        assert vectors.shape == (count, 512)
        assert np.abs(vectors - reference[:count]).max() < 1e-5


def test_an_answer_stays_as_it_was_when_the_next_batch_comes(device, photos):
    first = device.embed(photos[:4])
    kept = first.copy()
    device.embed(photos[4:8])

    assert (first == kept).all()


def test_the_warm_up_measures_the_pace(small_model):
    pace = EagerDevice(small_model, "cpu").warm_up(max_batch=4)

    assert pace.max_batch == 4
    assert 0 < pace.predict(1) <= pace.predict(4) <= pace.predict(8)


def test_on_cuda_two_pieces_of_a_batch_are_in_flight(small_model, photos, reference):
    stream = InOrder()
    device = GraphsDevice(small_model, "graphs", "float32", stream)
    device.warm_up(MAX_BATCH)
    stream.most_flying = 0

    vectors = device.embed(photos[:MAX_BATCH])

    assert stream.most_flying == 2
    assert stream.flying == 0
    assert np.abs(vectors - reference[:MAX_BATCH]).max() < 1e-5


@pytest.mark.parametrize("stream", [InOrder, Late])
def test_a_batch_that_is_begun_before_another_has_landed_leaves_it_alone(
    small_model, photos, reference, stream
):
    device = GraphsDevice(small_model, "graphs", "float32", stream())
    device.warm_up(MAX_BATCH)
    assert device.launch is not None

    begun = [device.launch(photos[first : first + 3]) for first in range(5)]

    for first, vectors in reversed([*enumerate(begun)]):
        assert np.abs(vectors() - reference[first : first + 3]).max() < 1e-5


def test_two_full_batches_are_begun_without_a_wait(small_model, photos):
    stream = Late()
    device = GraphsDevice(small_model, "graphs", "float32", stream)
    device.warm_up(MAX_BATCH)
    stream.waiting.clear()
    assert device.launch is not None

    first, second = (device.launch(photos[:MAX_BATCH]) for _ in range(2))

    assert len(stream.waiting) >= 4
    assert (first() == second()).all()
    assert stream.waiting == []


def test_torch_compile_changes_nothing_but_the_time():
    network = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())
    numbers = torch.arange(8.0).view(2, 4)
    with torch.inference_mode():
        expected = network(numbers)

        assert torch.allclose(compiled(network)(numbers), expected)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(small_model):
    with pytest.raises(ModelError, match="device: expected a CUDA device"):
        EagerDevice(small_model, "cuda")


def test_openvino_does_not_report_to_its_maker():
    openvino.imported()

    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("openvino_telemetry")
