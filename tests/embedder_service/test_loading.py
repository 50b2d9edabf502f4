"""The golden photos decide whether nvJPEG reads: on this machine's CPU, in its place another."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from torchvision.io import ImageReadMode, decode_jpeg

from embedder_service import loading
from embedder_service.config import EmbedderConfig
from embedder_service.decoder import DecodersLost
from embedder_service.devices.choice import Chosen
from embedder_service.nvjpeg import NvJpeg
from lookalike_kit import logs

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torchvision"),
]

NURSERY = SimpleNamespace()


class Decoder(NvJpeg):
    """In place of the process, and of its GPU."""

    shift = 0
    closed = 0
    jpegs = "nvjpeg"

    def __init__(self, nursery, preprocessing, _observer, _on_lost, jpegs):
        assert (nursery, jpegs) == (NURSERY, "nvjpeg")
        super().__init__(preprocessing, lambda files: decode_jpeg(files, ImageReadMode.RGB))

    def decode(self, jobs):
        return [
            dataclasses.replace(
                each, squares=[np.roll(s, self.shift, axis=2) for s in each.squares]
            )
            for each in super().decode(jobs)
        ]

    def close(self):
        type(self).closed += 1


@pytest.fixture
def load(model_folder, monkeypatch, capfd):
    """load(...) -> what was loaded, on a device that calls itself a GPU, and the log."""
    logs.configure("INFO", "embedder")
    monkeypatch.setattr(loading, "Apart", Decoder)
    monkeypatch.setattr(Decoder, "closed", 0)
    choose = loading.choose

    def on_gpu(*given: object) -> Chosen:
        chosen = choose(*given)
        chosen.device.name = "cuda: none"
        return chosen

    def load(is_gpu=True, nursery=NURSERY, **settings):
        monkeypatch.setattr(loading, "choose", on_gpu if is_gpu else choose)
        config = EmbedderConfig(model=model_folder, device="cpu", engine="eager", **settings)
        return loading.load(config, nursery), capfd.readouterr().err

    return load


def test_nvjpeg_reads_where_it_is_asked_for_and_the_golden_photos_agree(load):
    loaded, log = load(jpeg_decoder="nvjpeg")

    assert loaded.jpegs == "nvjpeg"
    assert loaded.info.decoder.startswith("nvjpeg, simplejpeg ")
    assert 0.999 <= loaded.golden_cosine < 1
    assert "nvjpeg_passed_over" not in log
    assert Decoder.closed == 1


def test_it_is_passed_over_where_its_pixels_make_other_vectors(load, monkeypatch):
    monkeypatch.setattr(Decoder, "shift", 7)

    loaded, log = load(jpeg_decoder="nvjpeg")

    assert loaded.jpegs == "cpu"
    assert loaded.info.decoder.startswith("simplejpeg ")
    assert loaded.golden_cosine > 0.9999
    assert "nvjpeg_passed_over" in log


def test_it_is_passed_over_where_it_ended_over_a_golden_photo(load, monkeypatch):
    monkeypatch.setattr(Decoder, "jpegs", "cpu")

    loaded, log = load(jpeg_decoder="nvjpeg")

    assert loaded.jpegs == "cpu"
    assert "got an end of their decoder" in log


def test_it_is_passed_over_where_it_does_not_begin(load, monkeypatch):
    def none(*_: object, **__: object) -> None:
        raise DecodersLost

    monkeypatch.setattr(loading, "Apart", none)

    loaded, log = load(jpeg_decoder="nvjpeg")

    assert loaded.jpegs == "cpu"
    assert "nvjpeg_passed_over" in log


def test_it_is_passed_over_beside_a_model_on_a_cpu(load):
    loaded, log = load(is_gpu=False, jpeg_decoder="nvjpeg")

    assert loaded.jpegs == "cpu"
    assert "a model on a GPU, got one on cpu" in log


def test_who_does_not_ask_for_it_does_not_get_it(load):
    loaded, log = load()

    assert loaded.jpegs == "cpu"
    assert "nvjpeg" not in log
