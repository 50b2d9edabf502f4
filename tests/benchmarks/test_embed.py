"""make bench-embed at its smallest: to its last line; what it measures here says nothing."""

import json

import pytest

pytestmark = pytest.mark.torch


@pytest.mark.timeout(600)  # two processes that import torch
def test_a_model_is_measured_at_a_small_size(capsys):
    from benchmarks import embed

    embed.main(["--quick", "--parts", "model"])

    figures = _figures(capsys)
    assert figures["throughput_vs_model_loop"] > 0
    assert figures["compiled_vs_eager"] > 0
    assert figures["failed_at_80"] == 0
    assert set(figures["by_batch"]) == {"1", "2"}


def test_the_host_is_measured_at_a_small_size(capsys):
    from benchmarks import embed

    embed.main(["--quick", "--parts", "host"])

    figures = _figures(capsys)
    assert figures["host_overhead"] > 0
    assert figures["host_path_vs_decode_loop"] > 0


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
def test_decoders_are_compared_at_a_small_size(capsys):
    from benchmarks import embed

    embed.main(["--quick", "--parts", "decoders"])

    rates = _figures(capsys)["decoders"]["images_a_second"]
    assert set(rates) >= {
        "served",
        "Pillow",
        "simplejpeg, any scale",
        "torchvision",
        "OpenCV, reduced",
    }


def test_starts_are_timed_with_files_that_are_not_in_memory(tmp_path):
    from lookalike_cli import processes

    from benchmarks import embed_starts

    kernels = tmp_path / "kernels"
    kernels.mkdir()
    (tmp_path / "weights").write_bytes(bytes(4096))
    embed_starts.forget([tmp_path], kernels)

    seconds = embed_starts.seconds_to_serving(
        lambda: processes.start(
            "benchmarks.embedder_stand_in",
            "LOOKALIKE_EMBEDDER_",
            {"model": 1, "drain_seconds": 0},
        )
    )

    assert seconds > 0
    assert not kernels.exists()
    assert (tmp_path / "weights").read_bytes() == bytes(4096)


def _figures(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])
